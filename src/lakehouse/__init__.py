"""Validated, table-grounded artifacts from language models, and a record you can trust."""

__version__ = "0.1.0"

"""Lakehouse from Python: one set of methods, in this process or over HTTP."""

"""Types of Python that answers are read into: their schemas, and their instances."""

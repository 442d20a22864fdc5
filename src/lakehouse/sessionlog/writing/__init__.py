"""Writing the log: rows are acknowledged once durable, in numbered segments.

Open `writer.py` first; nothing here reads a log.
"""

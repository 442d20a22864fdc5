"""Writing the log: rows in, each acknowledged once it is durable, and the segments they lie in.

Open `writer.py` first; nothing here reads a log.
"""

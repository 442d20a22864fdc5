"""Reading the log: its lines, pages of sessions, SQL over its views, and the compacted table.

Open `reader.py` first; nothing here changes a log.
"""

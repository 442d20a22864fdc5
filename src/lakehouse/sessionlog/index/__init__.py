"""Reads a large log quickly: packs of columns derived from its rows, and a process that asks them.

It never writes to the log's own files, and is never trusted over them.
"""

"""Lakehouse from Python: the clients behind `lakehouse.open` and `lakehouse.connect`."""

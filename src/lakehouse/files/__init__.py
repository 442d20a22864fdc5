"""Files that survive a crash: locks between processes, atomic replacement, synced directories.

Everybody who holds a lock file or puts a file in place does it here. Open `disk.py` first.
"""

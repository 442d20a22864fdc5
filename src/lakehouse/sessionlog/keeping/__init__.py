"""Keeping the log: crashed sessions, sealing, verification, compaction, and forgetting on request.

Open `sealing.py` first; what is moved or deleted here is durable elsewhere before.
"""

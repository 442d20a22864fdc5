"""Owns sessions: runs the loop, judges given answers, writes the rows."""

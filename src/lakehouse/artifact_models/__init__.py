"""Artifacts validated by the user's own Python types, in child processes."""

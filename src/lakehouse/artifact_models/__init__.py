"""Artifacts validated by the user's own Pydantic models, in child processes."""

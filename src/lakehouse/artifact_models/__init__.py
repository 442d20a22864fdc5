"""Artifacts held against Python models of the user's own, in processes that can be ended."""

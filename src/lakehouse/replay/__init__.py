"""Logged sessions run again with something changed, and paired with the originals."""

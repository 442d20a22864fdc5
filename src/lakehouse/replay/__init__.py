"""Reruns logged sessions with something changed, and pairs them with the originals."""

"""Sealed segments into a Delta table, exactly once; and sessions out of everything, on request."""

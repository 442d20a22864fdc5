"""Lakehouse from Python: types as kinds, and what stands in their annotations."""

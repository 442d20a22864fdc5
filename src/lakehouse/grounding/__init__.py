"""Grounding: checks artifact values against reference tables, and SQL rules over artifacts."""

"""Checks SQL from outside before it runs."""

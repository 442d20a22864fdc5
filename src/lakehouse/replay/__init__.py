"""Logged sessions through another model, compared pair by pair with what was logged."""

"""Owns the models: slots, the only retry loop, cold starts, health."""

"""The public door: keys, limits, ids, routes; owns no session."""

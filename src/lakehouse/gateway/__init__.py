"""The public API: keys, limits, ids, routes; owns no sessions."""

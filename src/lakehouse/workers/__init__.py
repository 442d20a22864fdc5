"""Several processes that serve one address: they share limits, and tell the whole to who asks."""

"""Two models on the same sessions: pairs in, estimates and a decision out. Does no I/O."""

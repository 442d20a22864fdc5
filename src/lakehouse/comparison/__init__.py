"""Two models over the same sessions: pairs in, estimates and a decision out. Does no I/O."""

"""Child processes: how they end, and what the operating system forbids them."""

"""Child processes of ours: how they end, and what the operating system keeps them from."""

"""The loop: generate, extract, check, tell, try again. Pure: no I/O but through the ports."""

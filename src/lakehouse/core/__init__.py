"""The vocabulary every other package speaks: pure values and rules, no I/O."""

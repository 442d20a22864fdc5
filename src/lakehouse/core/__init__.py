"""The vocabulary of every other package: pure values and rules, no I/O."""

"""The data of the demo: notices with checked answers, an airport table, a kind's files."""

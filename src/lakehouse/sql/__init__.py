"""Quotes SQL, opens a database in memory, and checks SQL from outside before it runs."""

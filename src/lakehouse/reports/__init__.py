"""A comparison for people and for CI: a page, a terminal, JSON, and JUnit XML."""

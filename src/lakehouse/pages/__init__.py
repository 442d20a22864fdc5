"""HTML pages: Jinja2 templates that escape every value and reference no other file."""

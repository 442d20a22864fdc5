"""HTML pages: Jinja2 templates that escape whatever they are given, and need nothing else."""

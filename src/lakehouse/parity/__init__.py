"""The gate between runtimes: the same fixtures in, the same bytes out, as a written answer has."""

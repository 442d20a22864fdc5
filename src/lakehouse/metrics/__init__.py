"""What a daemon counts and measures, for Prometheus at `GET /metrics`."""

"""What a daemon counts and measures, as `GET /metrics` shows it to Prometheus."""

"""Spans of ended work to an OTLP receiver, verdicts to Langfuse; idle unless configured."""

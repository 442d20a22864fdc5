"""Sends spans to an OTLP receiver and verdicts to Langfuse; idle unless configured."""

"""Feedback from people: labels and corrected artifacts, stored beside the log."""

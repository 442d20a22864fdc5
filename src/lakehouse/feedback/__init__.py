"""What people say about sessions: labels and corrected artifacts, beside the log."""

"""The session's owner: runs the loop, judges given answers, writes the row."""

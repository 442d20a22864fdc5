"""The pages of the browser: what is in the log, read by people, at `/ui`."""

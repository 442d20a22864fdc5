"""The session log: one durable row per session, in files that any runtime may write and read."""

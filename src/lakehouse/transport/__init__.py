"""What HTTP means here: problem bodies, headers, the server and client plumbing, health."""

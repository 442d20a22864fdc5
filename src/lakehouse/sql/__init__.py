"""What SQL of others may say before it runs."""

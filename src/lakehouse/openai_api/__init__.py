"""The doors for OpenAI clients: chat completions and responses, over the same sessions."""

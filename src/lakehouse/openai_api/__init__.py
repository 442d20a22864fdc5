"""OpenAI's API over the same `Validator`: requests of any OpenAI client get checked answers."""

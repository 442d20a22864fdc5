"""From a model's text to a checked value: extraction, opt-in repair, and the schema. No I/O."""

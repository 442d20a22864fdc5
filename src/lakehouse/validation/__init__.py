"""From a model's text to a judged value: extraction, opt-in repair, and the schema. No I/O."""

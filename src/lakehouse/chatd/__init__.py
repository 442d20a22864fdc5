"""The owner of the models: slots, the one retry loop, cold starts, health."""

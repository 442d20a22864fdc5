"""The models' owner: slots, the one retry loop, cold starts, health."""

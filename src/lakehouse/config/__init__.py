"""One TOML file and the environment, read once, as frozen values."""

"""The gate between runtimes: every runtime must turn each fixture into its expected bytes."""

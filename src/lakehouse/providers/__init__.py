"""What is specific to each model backend, behind one small protocol."""

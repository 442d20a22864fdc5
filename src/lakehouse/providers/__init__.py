"""What each model backend does its own way, behind one small protocol."""

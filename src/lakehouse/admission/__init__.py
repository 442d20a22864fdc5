"""Which sessions run now, for all doors: how many, who waits, and which calls share one."""

"""Values: no I/O, no async."""

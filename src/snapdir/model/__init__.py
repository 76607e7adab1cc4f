"""Values, without I/O."""

"""A store in a directory: the key is the path."""

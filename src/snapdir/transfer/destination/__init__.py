"""A directory that exists, beside the snapshot it is to hold."""

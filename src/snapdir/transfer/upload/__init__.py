"""Objects on their way into a store."""

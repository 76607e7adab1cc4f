"""Objects on their way out of a store, verified."""

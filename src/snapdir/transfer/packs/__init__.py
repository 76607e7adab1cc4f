"""Objects and a manifest as one stream."""

"""An existing directory, compared with the snapshot to write into it."""

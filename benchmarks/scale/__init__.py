"""The scale table: a million files, five million, one large file; ``python -m benchmarks scale`` measures it."""

"""The history of snapshots: pushes and stages at their locations, and derivations."""

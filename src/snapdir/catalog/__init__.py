"""The history of snapshots: what was pushed, staged and listed where, and what was derived from what."""

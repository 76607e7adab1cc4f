"""Where snapshots came from: the local history of what was pushed, staged and listed, and what was made from what."""

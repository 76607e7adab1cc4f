"""The tree index: what the directories of a tree were when they were last read."""

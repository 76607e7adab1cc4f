"""Local files, synchronous."""

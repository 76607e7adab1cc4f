"""Digests on bytes: verified reads, presence, and the order of commits."""

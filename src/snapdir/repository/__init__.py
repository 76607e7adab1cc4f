"""Digests on bytes: verified reads, presence, and what commits when."""

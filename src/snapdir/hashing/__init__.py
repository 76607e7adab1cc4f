"""Hashing. Blocking, CPU-bound."""

"""Hashing: synchronous, CPU-bound."""

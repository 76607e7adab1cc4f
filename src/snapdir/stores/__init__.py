"""Bytes at keys."""

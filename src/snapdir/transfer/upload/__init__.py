"""Sending objects to a store."""

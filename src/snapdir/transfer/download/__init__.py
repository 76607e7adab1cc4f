"""Receiving objects from a store, verified."""

"""Measuring a store and this host."""

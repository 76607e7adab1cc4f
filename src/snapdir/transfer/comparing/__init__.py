"""Comparing manifests."""

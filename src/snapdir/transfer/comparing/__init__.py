"""Manifests beside manifests."""

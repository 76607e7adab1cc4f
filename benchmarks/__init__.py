"""Benchmarks of snapdir against its peers: one catalog of scenarios, one server, alternating rounds.

``python -m benchmarks run`` measures, ``report`` writes docs/performance.md from the records, and ``compare A B``
compares two commits of ours.
"""

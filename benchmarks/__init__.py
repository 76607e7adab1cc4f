"""Benchmarks of snapdir against its peers: one catalog of scenarios, one server, alternating rounds.

``python -m benchmarks run`` measures, ``report`` writes docs/performance.md from what was measured, and ``compare A B``
runs two commits of ours against each other.
"""

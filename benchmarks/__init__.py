"""Benchmarks of snapdir against its peers: one catalog of scenarios, one server, alternating rounds.

``python -m benchmarks run`` measures, ``python -m benchmarks report`` writes docs/performance.md from what was measured,
``python -m benchmarks compare A B`` runs two commits of ours against each other.
"""

"""Tools to test a store: the contract and faults."""

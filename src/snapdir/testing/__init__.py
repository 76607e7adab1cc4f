"""Tools to test a store: the contract, faults and hypothesis strategies."""

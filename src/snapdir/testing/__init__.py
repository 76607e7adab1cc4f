"""What a store implementer tests with: the contract, faults and hypothesis strategies."""

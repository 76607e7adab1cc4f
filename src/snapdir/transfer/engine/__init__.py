"""The parts of every transfer: plans, limits, queues, events and reports."""

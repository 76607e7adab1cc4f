"""What every transfer is built from: plans, bounds, queues, events and reports."""

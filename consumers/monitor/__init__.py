"""The monitor: what no single stage can know about the bus, as metrics."""

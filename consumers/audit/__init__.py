"""The audit service: every record of the bus becomes one leaf of the tamper-evident log."""

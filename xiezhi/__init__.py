"""Xiezhi (獬豸): an event-streaming data-sharing bus for government supervision."""

__version__ = "0.1.0"

"""`xiezhi doctor`: what is wrong with the bus, and what to do about it. See `examine.py`."""

"""The alert store: every accepted statement about every alert, in a database that people and consoles read."""

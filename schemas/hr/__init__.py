"""Contracts of the organisation department (组织人事): who holds which post, from when to when."""

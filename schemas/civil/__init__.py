"""Contracts of civil affairs (民政): kinship, deaths and benefits paid. Persons are tokens throughout."""

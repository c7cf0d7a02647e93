"""Contracts of the finance department (财政): budget lines and treasury payments."""

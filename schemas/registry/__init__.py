"""Contracts of the company registry (市场监管): companies, and who owns, controls or represents them."""

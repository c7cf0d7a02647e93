"""Contracts of the tendering platform (招标投标): procedures, bids, awards, contracts and what became of them."""

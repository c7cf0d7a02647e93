"""Ways to run the product: what runs where, and the tools that prepare it. Nothing imports this package."""

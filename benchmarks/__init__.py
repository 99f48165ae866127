"""How fast things are, as ratios."""

"""How a matrix changes: one file per update rule."""

"""The mathematics of locate-then-edit: key, value, update."""

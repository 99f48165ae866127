"""The built-in abilities, one a file."""

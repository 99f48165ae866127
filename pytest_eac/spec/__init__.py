"""YAML text to frozen values; imports neither torch nor pytest."""

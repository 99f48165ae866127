"""Broken and hostile inputs for whatever reads files; see ``python -m benchmarks.fuzz --help``."""

"""Simulations behind the verdicts; docs/verdicts.md has their results."""

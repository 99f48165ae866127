"""The former place of what is in :mod:`pytest_eac.scoring.answers`, for scripts that import it."""

from pytest_eac.scoring.answers import starts_with

__all__ = ["starts_with"]

"""The former place of what is in :mod:`pytest_eac.text.spacing`, for scripts that import it."""

from pytest_eac.text.spacing import starts_with

__all__ = ["starts_with"]

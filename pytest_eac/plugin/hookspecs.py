"""Hooks for a ``conftest.py``: a project's own methods, metrics, abilities and edit sources.

A package that others install announces the same things by entry points instead: the groups
``pytest_eac.methods``, ``pytest_eac.metrics``, ``pytest_eac.abilities`` and ``pytest_eac.sources``.
"""

from collections.abc import Mapping
from typing import Any


def pytest_eac_register_methods() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Return editing methods by name.

    Each is a callable ``(model, edits, settings)`` or ``(model, edits, settings, work)`` that
    returns the changes to make, or a :class:`pytest_eac.Method` that says more about it.
    """


def pytest_eac_register_metrics() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Return metrics by name.

    Each is a callable ``(model, edits)``, called on the edited model with the edits so far, or a
    :class:`pytest_eac.Metric` that says more about it. The callable returns one score between 0
    and 1 (or ``None``) for each edit, or one number for the model.
    """


def pytest_eac_register_abilities() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Return abilities by name.

    Each is a callable ``(model)``, called on the unedited model and at the checkpoints that a spec
    asks for. It returns one score between 0 and 1 for each of its items, always in the same order.
    """


def pytest_eac_register_sources() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Return edit sources by the name that a spec gives as ``format``.

    Each is a callable ``(path)`` that yields mappings with the keys of an edit in a spec.
    """

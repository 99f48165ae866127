"""The door for other packages: methods, metrics, abilities, edit sources; by entry point or hook.

An entry point in the group ``pytest_eac.methods`` (``.metrics``, ``.abilities``, ``.sources``)
names an object of that kind; it is imported when a spec first names it. In a ``conftest.py``, the
hooks ``pytest_eac_register_...`` do the same for a project's own.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from pytest_eac.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

METHODS = "methods"
METRICS = "metrics"
ABILITIES = "abilities"
SOURCES = "sources"
KINDS = (METHODS, METRICS, ABILITIES, SOURCES)

_registered: dict[tuple[str, str], Any] = {}


def register(kind: str, name: str, thing: Any) -> None:
    """Make ``thing`` known under ``name``; a later registration replaces an earlier one."""
    _registered[kind, name] = thing


def forget() -> None:
    """Drop all that was registered by :func:`register`."""
    _registered.clear()


def names(kind: str) -> tuple[str, ...]:
    """Return the names that other packages give to things of a kind; imports nothing."""
    announced = {point.name for point in _points(kind)}
    return tuple(sorted({*announced, *(name for found, name in _registered if found == kind)}))


def find(kind: str, name: str) -> Any | None:
    """Return the thing of that name, or ``None``.

    Raises:
        SettingsError: the entry point's package cannot be imported.
    """
    if (kind, name) in _registered:
        return _registered[kind, name]
    for point in _points(kind):
        if point.name == name:
            return _load(kind, point)
    return None


def _points(kind: str) -> tuple[EntryPoint, ...]:
    return _scanned(entry_points, kind)


@cache
def _scanned(scan: Callable[..., Iterable[EntryPoint]], kind: str) -> tuple[EntryPoint, ...]:
    # A scan reads a file of every installed package, and a spec asks for many names.
    return tuple(scan(group=f"pytest_eac.{kind}"))


def _load(kind: str, point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        package = point.dist.name if point.dist else "an installed package"
        raise SettingsError(
            f"{package} announces {point.name!r} (entry point pytest_eac.{kind}: {point.value}), "
            f"but it cannot be imported: {type(error).__name__}: {error}"
        ) from error

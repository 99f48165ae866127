"""The registry of methods, metrics, abilities and edit sources.

The built-in ones are tables: a name, and the place of its entry as ``module:name``. Other packages
provide theirs in the same way, by an entry point in the group ``pytest_eac.methods`` (``.metrics``,
``.abilities``, ``.sources``). An entry is imported when a spec first names it. A project's own
``conftest.py`` registers its own by the hooks ``pytest_eac_register_...``.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pkgutil import resolve_name
from typing import Any

from pytest_eac.errors import SettingsError

METHODS = "methods"
METRICS = "metrics"
ABILITIES = "abilities"
SOURCES = "sources"
KINDS = (METHODS, METRICS, ABILITIES, SOURCES)

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    METHODS: {
        "rome": "pytest_eac.editing.updates.rome:ROME",
        "r-rome": "pytest_eac.editing.updates.rome:R_ROME",
        "memit": "pytest_eac.editing.updates.memit:MEMIT",
        "memit-prev": "pytest_eac.editing.updates.memit:MEMIT_PREV",
        "emmet": "pytest_eac.editing.updates.emmet:EMMET",
        "rect": "pytest_eac.editing.filters.rect:RECT",
        "prune": "pytest_eac.editing.filters.prune:PRUNE",
        "alphaedit": "pytest_eac.editing.updates.alphaedit:ALPHAEDIT",
        "nas": "pytest_eac.editing.updates.alphaedit:NAS",
        "encore": "pytest_eac.editing.updates.memit:ENCORE",
        "ft": "pytest_eac.editing.updates.ft:FT",
        "ft-l": "pytest_eac.editing.updates.ft:FT_L",
    },
    METRICS: {
        "known": "pytest_eac.measuring.metrics:KNOWN",
        "efficacy": "pytest_eac.measuring.metrics:EFFICACY",
        "generalization": "pytest_eac.measuring.metrics:GENERALIZATION",
        "locality": "pytest_eac.measuring.metrics:LOCALITY",
        "retention": "pytest_eac.measuring.metrics:RETENTION",
        "deviation": "pytest_eac.measuring.metrics:DEVIATION",
    },
    ABILITIES: {
        "nli": "pytest_eac.abilities.built_in.nli:TASK",
        "sentiment": "pytest_eac.abilities.built_in.sentiment:TASK",
        "qa": "pytest_eac.abilities.built_in.qa:TASK",
        "reading": "pytest_eac.abilities.built_in.reading:TASK",
        "summarization": "pytest_eac.abilities.built_in.summarization:TASK",
        "reasoning": "pytest_eac.abilities.built_in.reasoning:TASK",
        "arithmetic": "pytest_eac.abilities.built_in.arithmetic:TASK",
        "instructions": "pytest_eac.abilities.built_in.instructions:TASK",
        "generation": "pytest_eac.abilities.built_in.generation:TASK",
        "perplexity": "pytest_eac.abilities.built_in.perplexity:TASK",
        "drift": "pytest_eac.abilities.built_in.drift:TASK",
    },
    SOURCES: {
        "counterfact": "pytest_eac.spec.sources.counterfact:FORMAT",
        "zsre": "pytest_eac.spec.sources.zsre:FORMAT",
        "jsonl": "pytest_eac.spec.sources.jsonl:FORMAT",
    },
}


def built_in(kind: str) -> dict[str, Any]:
    """Return the built-in entries of a kind by name, in the order of the table."""
    return {name: resolve_name(place) for name, place in BUILT_IN[kind].items()}


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
    """Return the thing of that name, or ``None``; a built-in one cannot be replaced.

    Raises:
        SettingsError: the entry point's package cannot be imported.
    """
    if name in BUILT_IN.get(kind, {}):
        return resolve_name(BUILT_IN[kind][name])
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

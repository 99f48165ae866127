"""The metrics by name: the built-in ones, and those of other packages.

All that reads, checks, judges or shows a metric goes by its entry.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pytest_eac.errors import SettingsError
from pytest_eac.spec.registry import METRICS as KIND
from pytest_eac.spec.registry import built_in, find, names
from pytest_eac.spec.registry_entries import Metric

DEVIATION = "deviation"
NEEDS = {"truth": "a truth", "paraphrases": "paraphrases", "neighborhood": "a neighborhood"}
"""What a metric can need of an edit, in words."""
# Other keys of ``checks:``, and how the names of items begin that are no metrics.
_TAKEN = ("metrics", "abilities", "compare", "changed")
_TAKEN_PREFIXES = (DEVIATION, "orderings-", "baseline-", "lm_eval:")


def _named(name: str, metric: Metric) -> Metric:
    return replace(metric, name=name, heading=metric.heading or name)


BUILT_IN: Mapping[str, Metric] = {
    name: _named(name, entry) for name, entry in built_in(KIND).items()
}
"""The built-in metrics, in the order of tables. A record has ``known`` and ``deviation`` in fields
of their own: a chain has only one of the former, and a deviation is more than a mean."""

RECALLED = tuple(
    name for name, each in BUILT_IN.items() if each.kind == "share" and each.asked != "unedited"
)
"""The built-in ones that a checkpoint always has under ``metrics``."""
OF_EDITED = (*RECALLED, DEVIATION)
"""The built-in ones of the edited model: two chains can be compared by them."""


def find_metric(name: str) -> Metric:
    """Return a metric by name.

    Raises:
        KeyError: there is none.
        SettingsError: the package that announces it cannot be imported, or the name is taken.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    found = find(KIND, name)
    if found is None:
        raise KeyError(name)
    if reason := taken(name):
        raise SettingsError(f"metric {reason}")
    return _named(name, found if isinstance(found, Metric) else Metric(measure=found))


def described(name: str) -> Metric:
    """Return the entry of a metric that a record has.

    A record may be from another project: of a metric that is not known here, nothing but its name
    is said.
    """
    try:
        return find_metric(name)
    except (KeyError, SettingsError):
        return Metric(name=name, heading=name, measure="")


def in_order(found: Iterable[str]) -> tuple[Metric, ...]:
    """Return the entries of all built-in metrics, and of others by their names."""
    return tuple(described(name) for name in dict.fromkeys((*BUILT_IN, *found)))


def metric_names() -> tuple[str, ...]:
    """Return the names of all metrics of the edited model, the built-in ones first."""
    return (*OF_EDITED, *(name for name in names(KIND) if name not in BUILT_IN))


def taken(name: str) -> str | None:
    """Say why another package's metric cannot have a name, if so."""
    if name in BUILT_IN:
        return f"{name!r} is a built-in metric; give yours a name of its own"
    if name in _TAKEN or name.startswith(_TAKEN_PREFIXES):
        return f"{name!r} is the name of other checks; rename the metric"
    return None

"""The register of metrics: the built-in ones, and those that other packages bring.

All that reads, checks, judges or shows a metric goes by its entry here. In formulas, W_k are the
weights after k edits and s is the score of an answer between 0 and 1 (``scoring.match``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal

from pytest_eac.errors import SettingsError
from pytest_eac.spec.registry import METRICS as KIND
from pytest_eac.spec.registry import find, names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEVIATION = "deviation"
NEEDS = {"truth": "a truth", "paraphrases": "paraphrases", "neighborhood": "a neighborhood"}
"""What a metric can need of an edit, in words."""
# Other keys of ``checks:``, and how the names of items begin that are no metrics.
_TAKEN = ("metrics", "abilities", "compare", "changed")
_TAKEN_PREFIXES = (DEVIATION, "orderings-", "baseline-", "lm_eval:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric, as data.

    Attributes:
        measure: the callable ``(model, edits)``, or where to find it (``"package.module:name"``,
            imported on first use). It is called on the edited model with the edits so far, and
            returns a score between 0 and 1 for each edit (``None`` where there is nothing to
            measure), or one number for the model. Built-in ones are called in their own ways.
        name: as in checks and records; that which it is registered under.
        heading: of its column in the terminal, where space is short; by default the name.
        asks: the question that it answers, in a sentence.
        formula: its definition.
        page: the page of the documentation that says more.
        needs: what at least one edit must have: a key of ``NEEDS``, or nothing (empty).
        asked: when it is measured: of the ``unedited`` model, right after each ``edit``, or at each
            ``checkpoint``.
        kind: a ``share`` is the mean of a score per edit; a ``number`` is one for the model;
            ``weights`` is the size of the weights' change. By default, what it returns decides.
        better: ``higher`` or ``lower``. By default, scores of edits are better the higher they are,
            and which way one number of the model is better is not known.
        leaves_out: which edits do not count in it (``excluded`` in the record).
        against: what an answer that missed was held against.
        forgetting: whether the report draws its scores edit by edit, to show what is lost when.
    """

    measure: Callable[..., Any] | str
    name: str = ""
    heading: str = ""
    asks: str = "A number that a conftest.py or another package brings."
    formula: str = "as its author defines it"
    page: str = "extend"
    needs: Literal["", "truth", "paraphrases", "neighborhood"] = ""
    asked: Literal["unedited", "edit", "checkpoint"] = "checkpoint"
    kind: Literal["share", "number", "weights"] | None = None
    better: Literal["higher", "lower"] | None = None
    leaves_out: tuple[Literal["already held", "target is truth"], ...] = ()
    against: str = "expected"
    forgetting: bool = False

    def resolve(self) -> Callable[..., Any]:
        """Return the callable, importing it if need be.

        Raises:
            SettingsError: it is not there, or is not callable.
        """
        try:
            found = resolve_name(self.measure) if isinstance(self.measure, str) else self.measure
        except (ImportError, AttributeError, ValueError) as error:
            raise SettingsError(
                f"metric {self.name!r}: {self.measure!r} cannot be imported: {error}"
            ) from error
        if not callable(found):
            kind = type(found).__name__
            raise SettingsError(f"metric {self.name!r} is a {kind}, expected a callable")
        called: Callable[..., Any] = found
        return called


def _recalled(name: str, heading: str, asks: str, formula: str, **more: Any) -> Metric:
    """A share of the edits, measured by their questions on the edited model."""
    about: dict[str, Any] = {"asks": asks, "formula": formula, "page": "metrics", **more}
    measure = f"pytest_eac.measuring.recall:{name}"
    return Metric(name=name, heading=heading, measure=measure, kind="share", **about)


_UNCOUNTED = ("already held", "target is truth")
_REGISTER = (
    Metric(
        name="known",
        heading="known",
        measure="pytest_eac.measuring.unedited:ask_questions",
        asks="Does the unedited model know the facts that are to be changed?",
        formula="mean over edits i with a truth of s(W_0, prompt_i, truth_i)",
        page="metrics",
        needs="truth",
        asked="unedited",
        kind="share",
        leaves_out=("target is truth",),
    ),
    _recalled(
        "efficacy",
        "effic",
        "Did each edit work, asked right after it was made?",
        "mean over edits i ≤ k that count of s(W_i, prompt_i, target_i)",
        asked="edit",
        leaves_out=_UNCOUNTED,
    ),
    _recalled(
        "generalization",
        "genrl",
        "Does an edit hold when the same is asked in other words?",
        "mean over edits i that stand and count of mean over paraphrases p of s(W_k, p, target_i)",
        needs="paraphrases",
        leaves_out=_UNCOUNTED,
    ),
    _recalled(
        "locality",
        "local",
        "Are answers about other things as they were before the edits?",
        "mean over edits i ≤ k of mean over neighbours p of s(W_k, p, answer of W_0 to p)",
        needs="neighborhood",
        against="before the edits",
    ),
    _recalled(
        "retention",
        "retain",
        "Do all edits so far still hold, asked of the model as it is now?",
        "mean over edits i that stand and count of s(W_k, prompt_i, target_i)",
        leaves_out=_UNCOUNTED,
        forgetting=True,
    ),
    Metric(
        name=DEVIATION,
        heading="dev",
        measure="pytest_eac.measuring.deviation:measure_deviation",
        asks="How far have the edited matrices moved from the original ones?",
        formula="D_k = ‖W_k - W_0‖, relative: / ‖W_0‖ (L1 or Frobenius)",
        page="metrics",
        kind="weights",
        better="lower",
    ),
)
BUILT_IN = {each.name: each for each in _REGISTER}
"""The built-in metrics, in the order of tables. A record has each, ``known`` and ``deviation`` in
fields of their own: a chain has only one of the former, and a deviation is more than a mean."""

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
    metric = found if isinstance(found, Metric) else Metric(measure=found)
    return replace(metric, name=name, heading=metric.heading or name)


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

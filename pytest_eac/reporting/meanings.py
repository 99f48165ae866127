"""What each check means: a sentence, a formula, and the page that says more.

docs/metrics.md has the same sentences as a table.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_eac.spec import metrics
from pytest_eac.spec.metrics import described
from pytest_eac.spec.registry_entries import KEPT, Metric
from pytest_eac.spec.schema.abilities import BUILT_IN, LM_EVAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """A check in words.

    In formulas, W_k are the weights after k edits and s is the score of an answer between 0 and 1
    (``scoring.match``).
    """

    says: str
    formula: str
    page: str


def _ability(asked: str, formula: str = KEPT) -> Meaning:
    return Meaning(
        says=f"How much is kept of an ability: {asked}.", formula=formula, page="abilities"
    )


def _of(metric: Metric) -> Meaning:
    return Meaning(says=metric.asks, formula=metric.formula, page=metric.page)


MEANINGS = {
    **{name: _of(metric) for name, metric in metrics.BUILT_IN.items()},
    "deviation-exponent": Meaning(
        says="Does deviation grow no faster than a power of the number of edits?",
        formula="b of D(t) = a t^b, fitted to the increments d_t = D_t - D_(t-1)",
        page="growth",
    ),
    "deviation-slope": Meaning(
        says="How much does an edit add to the deviation, typically?",
        formula="Theil-Sen: median over i < j of (D_j - D_i) / (j - i)",
        page="growth",
    ),
    "deviation-acceleration": Meaning(
        says="An alarm: do edits move the weights more, the later they come?",
        formula="Mann-Kendall, one-sided, of d_t with t; alarm if p ≤ 1 - confidence (or 0.05)",
        page="growth",
    ),
    "deviation-collapse": Meaning(
        says="An alarm: do edits begin to move the weights twice as much, from some edit on?",
        formula="first t with mean(d_t, ..., d_n) ≥ 2 mean(d_1, ..., d_(t-1)), by a rank statistic",
        page="growth",
    ),
    **{name: _ability(task.asked, task.formula) for name, task in BUILT_IN.items()},
    "changed": Meaning(
        says="What has a released model changed of its base, and is it allowed to?",
        formula="per tensor: bits, ‖W' - W‖ / ‖W‖ (L1), effective rank of W' - W",
        page="gate",
    ),
}

_LM_EVAL = _ability("a task of lm-evaluation-harness")
_COMPARE = Meaning(
    says="Is a metric of one method below (or above) that of another, on the same edits?",
    formula="difference of the two methods' numbers at the end, mean over seeds and sets of edits",
    page="verdicts",
)
_HOLD = Meaning(
    says="Does the check hold under every order of the edits that is tried?",
    formula="an order breaks it if the check fails on the edits in this order",
    page="orderings",
)
_SPREAD = Meaning(
    says="Is a metric the same, up to a tolerance, whatever the order of the edits?",
    formula="largest difference at the end between orders of the same edits",
    page="orderings",
)
_STATE = Meaning(
    says="Are the final weights the same, up to a tolerance, whatever the order of the edits?",
    formula="‖W - W'‖ / ‖W' - W_0‖ (Frobenius), W' from the written order",
    page="orderings",
)
_BASELINE = Meaning(
    says="Is a metric no worse than in the baseline, up to a tolerance?",
    formula="fall of the metric at the end, over the edits that both runs have",
    page="baselines",
)


def meaning(check: str) -> Meaning:
    """Return what a check of a chain means, by its name in node ids."""
    if check in MEANINGS:
        return MEANINGS[check]
    families = {
        LM_EVAL: _LM_EVAL,
        "orderings-spread-": _SPREAD,
        "orderings-state": _STATE,
        "orderings-": _HOLD,
        "baseline-": _BASELINE,
    }
    found = (each for prefix, each in families.items() if check.startswith(prefix))
    return next(found, None) or _of(described(check))


def meaning_of_comparison() -> Meaning:
    """Return what a comparison of two methods means."""
    return _COMPARE


def table() -> Iterator[str]:
    """Yield the lines of a Markdown table of all checks of a chain."""
    yield "| check | asks | number | more |"
    yield "|---|---|---|---|"
    rows = [(f"`{name}`", each) for name, each in MEANINGS.items()]
    rows += [
        ("`lm_eval:TASK`", _LM_EVAL),
        ("of `metrics`", _of(Metric(measure=""))),
        ("of `compare`", _COMPARE),
        ("`orderings-CHECK`", _HOLD),
        ("`orderings-spread-METRIC`", _SPREAD),
        ("`orderings-state`", _STATE),
        ("`baseline-METRIC`", _BASELINE),
    ]
    for name, each in rows:
        yield f"| {name} | {each.says} | {each.formula} | docs/{each.page}.md |"

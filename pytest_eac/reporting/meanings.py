"""What each check means: a sentence, a formula, and the page that says more.

docs/metrics.md has the same sentences as a table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_uppercase

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
        says="Does deviation grow no faster than a power of the number of edits? In the Frobenius "
        "norm, 0.5 means equal steps in unrelated directions; above it, steps grow or point the "
        "same way.",
        formula="b of D(t) = a t^b, fitted to D_t^2 - D_(t-1)^2 (unrelated steps, Frobenius norm) "
        "or to D_t - D_(t-1)",
        page="growth",
    ),
    "deviation-slope": Meaning(
        says="How much does an edit add to the deviation, typically?",
        formula="Theil-Sen: median over i < j of (D_j - D_i) / (j - i)",
        page="growth",
    ),
    "deviation-acceleration": Meaning(
        says="An alarm: do later edits make larger steps?",
        formula="slope of the normal scores of s_t = ‖W_t - W_(t-1)‖ (Frobenius) against t, "
        "allowing for autocorrelation; alarm if p ≤ 1 - confidence (or 0.05)",
        page="growth",
    ),
    "deviation-collapse": Meaning(
        says="An alarm: are steps at least twice as large from some edit on?",
        formula="first t with mean(s_t, ..., s_n) ≥ 2 mean(s_1, ..., s_(t-1)), by a rank statistic "
        "that allows for autocorrelation; s_t = ‖W_t - W_(t-1)‖ (Frobenius)",
        page="growth",
    ),
    **{name: _ability(task.asked, task.formula) for name, task in BUILT_IN.items()},
    "changed": Meaning(
        says="What has a released model changed of its base, and is it allowed to?",
        formula="per tensor: bits, ‖W' - W‖ / ‖W‖ (L1), effective rank of W' - W",
        page="gate",
    ),
}

COMPARISON = Meaning(
    says="Is a metric of one method below (or above) that of another, on the same edits?",
    formula="difference of the two methods' numbers at the end, mean over seeds and sets of edits; "
    "with at_equal, the ratio of their deviations where both keep the same",
    page="verdicts",
)
"""What a comparison of two methods means."""

# Other checks of a chain; what stands in capitals is another in each of them.
_FAMILIES = {
    f"{LM_EVAL}TASK": _ability("a task of lm-evaluation-harness"),
    "orderings-CHECK": Meaning(
        says="Does the check hold under every order of the edits that is tried?",
        formula="an order breaks it if the check fails on the edits in this order",
        page="orderings",
    ),
    "orderings-spread-METRIC": Meaning(
        says="Is a metric the same, up to a tolerance, whatever the order of the edits?",
        formula="largest difference at the end between orders of the same edits",
        page="orderings",
    ),
    "orderings-state": Meaning(
        says="Are the final weights the same, up to a tolerance, whatever the order of the edits?",
        formula="‖W - W'‖ / ‖W' - W_0‖ (Frobenius), W' from the written order",
        page="orderings",
    ),
    "baseline-METRIC": Meaning(
        says="Is a metric no worse than in the baseline, up to a tolerance?",
        formula="fall of the metric at the end, over the edits that both runs have",
        page="baselines",
    ),
}


def meaning(check: str) -> Meaning:
    """Return what a check of a chain means, by its name in node ids."""
    if check in MEANINGS:
        return MEANINGS[check]
    families = {name.rstrip(ascii_uppercase): each for name, each in _FAMILIES.items()}
    family = max(filter(check.startswith, families), key=len, default=None)
    return families[family] if family else _of(described(check))


def table() -> Iterator[str]:
    """Yield the lines of a Markdown table of all checks of a chain."""
    yield "| check | asks | number | more |"
    yield "|---|---|---|---|"
    rows = [(f"`{name}`", each) for name, each in (MEANINGS | _FAMILIES).items()]
    rows += [("of `metrics`", _of(Metric(measure=""))), ("of `compare`", COMPARISON)]
    for name, each in rows:
        yield f"| {name} | {each.says} | {each.formula} | docs/{each.page}.md |"

"""Numbers and verdicts as the page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_eac.reporting.outcomes import Outcome
from pytest_eac.reporting.terminal import outward

_GROUPS = {
    "Stopped": ("stopped",),
    "Failed": ("failed", "error"),
    "Undecided or skipped": ("skipped",),
    "Known issues": ("xfailed",),
    "Passed": ("passed", "xpassed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The verdict on a whole run.

    Attributes:
        outcome: ``failed``, ``undecided`` or ``passed``; ``none`` where nothing was judged.
        text: the same in words.
        groups: the checks by their outcomes; empty groups are left out.
    """

    outcome: str
    text: str
    groups: dict[str, tuple[Outcome, ...]]


def headline(outcomes: Sequence[Outcome]) -> Headline:
    """Judge a whole run as pytest does: failed if one check failed; skipped ones are no passes."""
    groups = {
        name: tuple(each for each in outcomes if each.outcome in kinds)
        for name, kinds in _GROUPS.items()
    }
    stopped, failed, undecided, known, passed = map(len, groups.values())
    beside = [f"{undecided} could not be decided"] if undecided else []
    beside += [f"{known} failed as expected"] if known else []
    if not outcomes:
        outcome, text = "none", "Nothing was judged"
    elif stopped:
        outcome, text = "failed", f"Stopped before the end: {failed} failed, {passed} passed so far"
    elif failed:
        outcome, text = "failed", f"{failed} of {len(outcomes)} checks failed"
    elif not passed:
        outcome, text = "undecided", "No check has passed: " + ", ".join(beside)
    elif beside:
        outcome, text = "passed", f"{passed} checks passed, {', '.join(beside)}"
    else:
        outcome, text = "passed", f"All {passed} checks passed"
    return Headline(
        outcome=outcome, text=text, groups={name: each for name, each in groups.items() if each}
    )


def span(low: float | None, high: float | None, *, share: bool = False) -> str:
    """Return an interval; empty where there is none. Shares are rounded outward, to percents."""
    if low is None or high is None:
        return ""
    if share:
        below, above = outward(low, high)
        return f"{below}% to {above}%"
    return f"{low:.3g} to {high:.3g}"

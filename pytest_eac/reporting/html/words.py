"""Numbers and verdicts as the page says them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_eac.record import Record, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A verdict and where it belongs."""

    where: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The verdict on a whole run.

    Attributes:
        outcome: ``failed``, ``undecided`` or ``passed``; ``none`` where nothing was judged.
        text: the same in words.
        failed: what failed.
        undecided: what could not be said.
        passed: what held.
    """

    outcome: str
    text: str
    failed: tuple[Judged, ...]
    undecided: tuple[Judged, ...]
    passed: tuple[Judged, ...]


def headline(record: Record) -> Headline:
    """Judge a whole run: failed if one check failed, passed if all did."""
    all_of_them = tuple(_judged(record))
    by = {
        outcome: tuple(each for each in all_of_them if each.verdict.outcome == outcome)
        for outcome in ("failed", "undecided", "passed")
    }
    count = Counter({outcome: len(found) for outcome, found in by.items()})
    if not all_of_them:
        outcome, text = "none", "Nothing was judged: the record has no verdicts"
    elif count["failed"]:
        outcome, text = "failed", f"{count['failed']} of {len(all_of_them)} checks failed"
    elif count["undecided"] == len(all_of_them):
        outcome, text = "undecided", "No check could be decided"
    elif count["undecided"]:
        outcome = "passed"
        text = f"{count['passed']} checks passed, {count['undecided']} could not be decided"
    else:
        outcome, text = "passed", f"All {len(all_of_them)} checks passed"
    return Headline(outcome=outcome, text=text, **by)


def _judged(record: Record) -> Iterable[Judged]:
    for release in record.releases:
        if release.verdict is not None:
            yield Judged(where=f"{release.spec}::edited", verdict=release.verdict)
    for chain in record.chains:
        for verdict in chain.verdicts:
            yield Judged(where=f"{chain.spec}::{chain.name}", verdict=verdict)
    for comparison in record.comparisons:
        yield Judged(where=comparison.spec, verdict=comparison)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as it is read; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}g}"


def percent(value: float | None) -> str:
    """Return a share as a percentage; a dash where there is none."""
    return "-" if value is None else f"{value:.1%}"


def span(low: float | None, high: float | None, *, share: bool = False) -> str:
    """Return an interval; empty where there is none."""
    if low is None or high is None:
        return ""
    return f"{low:.0%} to {high:.0%}" if share else f"{low:.3g} to {high:.3g}"

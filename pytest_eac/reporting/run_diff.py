"""What has changed from one run to another, as text, Markdown and JSON."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from pytest_eac.judging.run_comparison import Pair, RunComparison
from pytest_eac.judging.run_diff import Change, PairedScore
from pytest_eac.judging.tried_orders import of_chain
from pytest_eac.reporting.markdown import table
from pytest_eac.reporting.terminal import summary_lines
from pytest_eac.reporting.text import fit
from pytest_eac.untrusted_text import json_text, line, markdown

HEADINGS = ("metric", "there", "here", "change", "95% interval", "p", "n", "lost", "gained")
_WIDTHS = (14, 8, 8, 8, 17, 7, 5, 5, 7)
_SHOWN_FLIPS = 5


def change_lines(name: str, found: Sequence[Change]) -> Iterator[str]:
    """Yield a table of how a chain's metrics have moved, and the edits that flipped; 80 columns."""
    if not found:
        yield f"{fit(name, 80)}: nothing in common"
        return
    yield fit(name, 80)
    yield _row(HEADINGS)
    for change in found:
        yield _row(cells(change))
    for note in _notes(found):
        yield from (f"  {part}" for part in textwrap.wrap(note, 78, break_on_hyphens=False))
    for kind, change, flips in _flipped(found):
        yield f"  {change.metric}, {kind}:"
        yield from (f"    {fit(_flip(each), 76)}" for each in flips[:_SHOWN_FLIPS])
        if len(flips) > _SHOWN_FLIPS:
            yield f"    and {len(flips) - _SHOWN_FLIPS} more"


def _notes(found: Sequence[Change]) -> Iterator[str]:
    """Yield what has become better or worse, and what could not be compared."""
    yield from (f"{each.metric}: undecided: {each.reason}" for each in found if each.reason)
    for direction in ("better", "worse"):
        names = [each.metric for each in found if each.direction == direction]
        if names:
            yield f"{direction}: {', '.join(names)}"


def cells(change: Change) -> tuple[str, ...]:
    """Return the cells of a metric's row, in the order of ``HEADINGS``."""
    sign = ".1%" if change.kind == "relative" else ".3f"
    moved = "-" if change.change is None else f"{change.change:+{sign}}"
    interval = "-"
    if change.low is not None and change.high is not None:
        interval = f"{change.low:+.3f} to {change.high:+.3f}"
    is_paired = change.p is not None
    return (
        change.metric,
        f"{change.old:.4g}",
        f"{change.new:.4g}",
        moved,
        interval,
        "-" if change.p is None else f"{change.p:.2g}",
        str(change.n) if is_paired else "-",
        str(len(change.lost)) if is_paired else "-",
        str(len(change.gained)) if is_paired else "-",
    )


def comparison_text(comparison: RunComparison) -> str:
    """Return the runs' tables, and for each chain that two of them have, what has changed."""
    lines = []
    for run in comparison.runs:
        lines += [f"run {run.file}", *summary_lines(run.record.chains), ""]
    for pair in comparison.pairs:
        lines += [_against(pair), f"  {fit(pair.spec, 78)}"]
        lines += [f"  differs: {each}" for each in pair.differs]
        lines += [*change_lines(pair.chain, pair.changes), ""]
    lines += comparison.unmatched
    return "\n".join(map(line, lines)).rstrip("\n") + "\n"


def comparison_markdown(comparison: RunComparison) -> str:
    """Return the same as Markdown."""
    names = ("run", "spec", "chain", "model", "scoring", "edits")
    rows = [
        (run.file, chain.spec, chain.name, chain.model.id, chain.scoring, str(len(chain.edits)))
        for run in comparison.runs
        for chain in run.record.chains
    ]
    lines = ["# Comparison of runs", "", *table(names, rows)]
    for run in comparison.runs:
        said = [text for chain in run.record.chains for text in of_chain(chain)]
        lines += (
            ["", *(f"- {markdown(run.file)}: {markdown(text)}" for text in said)] if said else []
        )
    for pair in comparison.pairs:
        title = f"{pair.chain} of {pair.spec}: {_against(pair)}"
        lines += ["", f"## {markdown(title)}", ""]
        lines += [f"- differs: {markdown(str(each))}" for each in pair.differs]
        lines += ["", *changes_table(pair.changes)]
        for kind, change, flips in _flipped(pair.changes):
            lines += ["", f"{markdown(change.metric)}, {kind}:", ""]
            lines += [f"- {markdown(_flip(each))}" for each in flips[:_SHOWN_FLIPS]]
            more = len(flips) - _SHOWN_FLIPS
            lines += [f"- and {more} more"] if more > 0 else []
    lines += ["", *(f"- {markdown(each)}" for each in comparison.unmatched)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _against(pair: Pair) -> str:
    if pair.to != pair.chain:
        return f"{pair.chain} against {pair.to}"
    return f"{pair.here} against {pair.there}"


def changes_table(found: Sequence[Change]) -> list[str]:
    """Return how metrics have moved as a Markdown table."""
    lines = table(HEADINGS, [cells(change) for change in found])
    return [*lines, *(part for note in _notes(found) for part in ("", markdown(note)))]


def comparison_json(comparison: RunComparison) -> str:
    """Return the same as JSON, with every edit that flipped."""
    data = {
        "runs": [
            {
                "file": run.file,
                "environment": run.record.environment,
                "chains": [
                    {
                        "spec": chain.spec,
                        "chain": chain.name,
                        "model": asdict(chain.model),
                        "scoring": chain.scoring,
                        "edits": len(chain.edits),
                    }
                    for chain in run.record.chains
                ],
            }
            for run in comparison.runs
        ],
        "comparisons": [_as_data(pair) for pair in comparison.pairs],
        "unmatched": list(comparison.unmatched),
    }
    return json_text(data) + "\n"


def _as_data(pair: Pair) -> dict[str, Any]:
    return asdict(pair) | {"changes": [asdict(each) | {"p": each.p} for each in pair.changes]}


def _flipped(found: Sequence[Change]) -> Iterator[tuple[str, Change, Sequence[PairedScore]]]:
    for change in found:
        for kind, flips in (("lost", change.lost), ("gained", change.gained)):
            if flips and change.kind == "edits":
                yield kind, change, flips


def _flip(flip: PairedScore) -> str:
    return f"edit {flip.item + 1}: {flip.name} ({flip.old:.3g} -> {flip.new:.3g})"


def _row(texts: Sequence[str]) -> str:
    first = f"{fit(texts[0], _WIDTHS[0]):<{_WIDTHS[0]}}"
    return first + "".join(
        f"{text:>{width}}" for text, width in zip(texts[1:], _WIDTHS[1:], strict=True)
    )

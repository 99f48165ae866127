"""How chains' edits were solved and written, as a table, and what to know before comparing them."""

from collections.abc import Callable, Sequence

from pytest_eac.judging.edit_diagnostics import DiagnosticsSummary, summarise
from pytest_eac.records.run import Chain
from pytest_eac.reporting.text import fit, wrapped

_Cell = Callable[[DiagnosticsSummary], str]
# Each column: its heading, its width in the terminal, what it is, and its cell.
_COLUMNS: tuple[tuple[str, int, str, _Cell], ...] = (
    ("P rank", 10, "directions that a projection writes to", lambda found: _range(found.ranks)),
    (
        "energy",
        7,
        "their share of the energy of other texts' keys",
        lambda found: _percent(found.energy),
    ),
    ("tok/in", 7, "tokens of the covariance C per input", lambda found: _number(found.token_ratio)),
    ("cond C", 7, "its condition number", lambda found: _number(found.condition)),
    ("k.u", 7, "denominator of ROME's update", lambda found: _number(found.key_product)),
    ("|v*|", 7, "norm of the value", lambda found: _number(found.value_norm)),
    (
        "missed",
        7,
        "share of a value's change missing after the write (median over edits)",
        lambda found: _percent(found.missed),
    ),
    ("worst", 6, "the largest of these", lambda found: _percent(found.most_missed)),
)


def diagnostics_table(chains: Sequence[Chain]) -> list[tuple[str, ...]]:
    """Return headings, and a row for each chain that has diagnostics; empty if none has.

    Columns in which no chain has a number are left out.
    """
    found = [(chain.name, each) for chain in chains if (each := summarise(chain)) is not None]
    rows = [(name, *(cell(each) for *_, cell in _COLUMNS)) for name, each in found]
    headings = ("chain", *(heading for heading, *_ in _COLUMNS))
    shown = [k for k in range(len(headings)) if any(row[k] != "-" for row in rows)]
    return [tuple(row[k] for k in shown) for row in (headings, *rows)] if len(shown) > 1 else []


def legend(headings: Sequence[str]) -> str:
    """Return what the columns of a table of diagnostics mean."""
    means = {heading: text for heading, _, text, _ in _COLUMNS}
    return "; ".join(f"{each}: {means[each]}" for each in headings if each in means)


def diagnostics_lines(chains: Sequence[Chain]) -> list[str]:
    """Return the table with its legend for the terminal, 80 columns wide."""
    if not (table := diagnostics_table(chains)):
        return []
    known = {heading: width for heading, width, *_ in _COLUMNS}
    widths = [known[heading] for heading in table[0][1:]]
    lines = [
        f"{fit(name, 22):<22}"
        + "".join(f"{cell:>{width}}" for width, cell in zip(widths, cells, strict=True))
        for name, *cells in table
    ]
    return [*lines, *wrapped(f"  {legend(table[0])}")]


def noted(chains: Sequence[Chain]) -> list[str]:
    """Return each note of the chains once, after the names of those that have it."""
    names: dict[str, list[str]] = {}
    for chain in chains:
        for note in chain.notes:
            names.setdefault(note, []).append(chain.name)
    return [f"{', '.join(each)}: {note}" for note, each in names.items()]


def _range(ends: tuple[int, int] | None) -> str:
    return "-" if ends is None else "-".join(dict.fromkeys(map(str, ends)))


def _number(number: float | None) -> str:
    """Write a number in six characters, seven with a minus, so that columns stay apart."""
    if number is None:
        return "-"
    if 999.5 <= abs(number) < 999_999.5:
        return f"{number:.0f}"
    return f"{number:.3g}" if 0.01 <= abs(number) < 1000 or not number else f"{number:.0e}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.{1 if share < 0.1 else 0}f}%"

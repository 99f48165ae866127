"""How a chain's edits were solved and written, as one row of a table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from pytest_eac.records.diagnostics import Diagnostics, MatrixDiagnostics
from pytest_eac.records.run import Chain

Number = TypeVar("Number", int, float)

HEADINGS = ("P rank", "energy", "tok/in", "cond C", "k.u", "|v*|", "missed", "worst")
"""The columns of :func:`written_rows`."""

LEGEND = (
    "P: directions written to, and their share of the energy of other texts' keys; C: tokens per "
    "input, and condition; k.u: denominator of ROME's update; missed: share of a value's change "
    "missing after the write (medians over edits)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The diagnostics of a chain's edits, summarised; ``None`` where no edit has the number.

    Attributes:
        ranks: the lowest and highest number of directions written to, over edits and matrices.
        energy: the largest share of energy in them.
        token_ratio: the lowest.
        condition: the highest.
        key_product: the median over edits and matrices.
        value_norm: the median over edits.
        missed: the median over edits.
        most_missed: the largest.
    """

    ranks: tuple[int, int] | None
    energy: float | None
    token_ratio: float | None
    condition: float | None
    key_product: float | None
    value_norm: float | None
    missed: float | None
    most_missed: float | None


def written(chain: Chain) -> Written | None:
    """Return a summary of a chain's diagnostics; ``None`` for a chain without any."""
    edits: list[Diagnostics] = [
        cost.diagnostics for cost in chain.per_edit if cost.diagnostics is not None
    ]
    if not edits:
        return None
    matrices: list[MatrixDiagnostics] = [each for edit in edits for each in edit.matrices]
    ranks = _known(each.rank for each in matrices)
    energies = _known(each.energy for each in matrices)
    ratios = _known(each.token_ratio for each in matrices)
    conditions = _known(each.condition for each in matrices)
    missed = _known(edit.missed for edit in edits)
    return Written(
        ranks=(min(ranks), max(ranks)) if ranks else None,
        energy=max(energies, default=None),
        token_ratio=min(ratios, default=None),
        condition=max(conditions, default=None),
        key_product=_median(_known(each.key_product for each in matrices)),
        value_norm=_median(_known(edit.value_norm for edit in edits)),
        missed=_median(missed),
        most_missed=max(missed, default=None),
    )


def written_rows(chains: Sequence[Chain]) -> list[tuple[str, ...]]:
    """Return a row for each chain that has diagnostics: its name, and a cell for each heading."""
    found = ((chain.name, written(chain)) for chain in chains)
    return [(name, *_cells(each)) for name, each in found if each is not None]


def noted(chains: Sequence[Chain]) -> list[str]:
    """Return each note of the chains once, after the names of those that have it."""
    names: dict[str, list[str]] = {}
    for chain in chains:
        for note in chain.notes:
            names.setdefault(note, []).append(chain.name)
    return [f"{', '.join(each)}: {note}" for note, each in names.items()]


def _cells(found: Written) -> tuple[str, ...]:
    ranks = "-"
    if found.ranks is not None:
        least, most = found.ranks
        ranks = f"{least}" if least == most else f"{least}-{most}"
    return (
        ranks,
        _percent(found.energy),
        _number(found.token_ratio),
        _number(found.condition),
        _number(found.key_product),
        _number(found.value_norm),
        _percent(found.missed),
        _percent(found.most_missed),
    )


def _known(numbers: Iterable[Number | None]) -> list[Number]:
    return [each for each in numbers if each is not None]


def _median(numbers: Sequence[float]) -> float | None:
    return median(numbers) if numbers else None


def _number(number: float | None) -> str:
    """Write a number in six characters, seven with a minus, so that columns stay apart."""
    if number is None:
        return "-"
    if 999.5 <= abs(number) < 999_999.5:
        return f"{number:.0f}"
    return f"{number:.3g}" if 0.01 <= abs(number) < 1000 or not number else f"{number:.0e}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.{1 if share < 0.1 else 0}f}%"

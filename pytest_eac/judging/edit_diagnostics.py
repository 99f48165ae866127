"""How a chain's edits were solved and written: the diagnostics of its edits, summarised."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from pytest_eac.records.diagnostics import Diagnostics, MatrixDiagnostics
from pytest_eac.records.run import Chain

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticsSummary:
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


def summarise(chain: Chain) -> DiagnosticsSummary | None:
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
    return DiagnosticsSummary(
        ranks=(min(ranks), max(ranks)) if ranks else None,
        energy=max(energies, default=None),
        token_ratio=min(ratios, default=None),
        condition=max(conditions, default=None),
        key_product=_median(_known(each.key_product for each in matrices)),
        value_norm=_median(_known(edit.value_norm for edit in edits)),
        missed=_median(missed),
        most_missed=max(missed, default=None),
    )


def _known(numbers: Iterable[Number | None]) -> list[Number]:
    return [each for each in numbers if each is not None]


def _median(numbers: Sequence[float]) -> float | None:
    return median(numbers) if numbers else None

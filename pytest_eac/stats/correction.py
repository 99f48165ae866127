"""Corrections for multiple testing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import scipy

CorrectionMethod = Literal["holm", "bh", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """A p-value after correction, to be compared with the same level as a single one.

    Attributes:
        p: the corrected p-value, at most 1.
        factor: by what the p-value itself was multiplied at its place in the order; what remains is
            the say of the others.
    """

    p: float
    factor: float


def adjust(p_values: Sequence[float], method: CorrectionMethod) -> tuple[Adjusted, ...]:
    """Correct p-values for how many there are, in the order given.

    ``holm`` bounds the chance of a single wrong rejection among all, ``bh`` the expected share of
    wrong ones among the rejections (for tests that are independent or positively dependent).

    Source: Holm (1979); Benjamini and Hochberg (1995).
    """
    count = len(p_values)
    order = sorted(range(count), key=lambda index: p_values[index])
    if method == "none":
        return tuple(Adjusted(p=p, factor=1.0) for p in p_values)
    if method == "bh":
        found = scipy.stats.false_discovery_control(p_values) if count else ()
        factors = [count / (place + 1) for place in range(count)]
        by_place = [float(found[index]) for index in order]
    else:
        factors = [float(count - place) for place in range(count)]
        steps = (factor * p_values[index] for factor, index in zip(factors, order, strict=True))
        by_place = [min(1.0, p) for p in accumulate(steps, max)]
    placed = dict(zip(order, zip(by_place, factors, strict=True), strict=True))
    return tuple(Adjusted(p=p, factor=factor) for _, (p, factor) in sorted(placed.items()))

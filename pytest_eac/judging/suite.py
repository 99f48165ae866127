"""How many p-values a whole run has, for those who correct over all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_eac.spec.schema.deviation import DeviationBounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.spec.schema.checks import Checks
    from pytest_eac.spec.spec import Spec

_CORRECTED_GROWTH = ("deviation-exponent", "deviation-slope")


def confident_checks(checks: Checks) -> tuple[str, ...]:
    """Return the checks of a chain that have a confidence; alarms of growth are not corrected."""
    return tuple(
        name
        for name, bounds in checks.named()
        if (
            name in _CORRECTED_GROWTH
            and bounds.growth is not None
            and bounds.growth.confidence is not None
            if isinstance(bounds, DeviationBounds)
            else bounds.confidence is not None
        )
    )


def suite_size(specs: Sequence[Spec], *, released: bool = False) -> int:
    """Return how many p-values there can be, over all specs with ``stats: {suite: holm}``.

    It follows from the specs alone, so that every worker knows it before the first chain runs, and
    no choice of checks by ``-k`` changes a verdict.

    Args:
        specs: all that were collected.
        released: whether a released model is judged, which is one chain per spec.
    """
    total = 0
    for spec in specs:
        if spec.stats.suite == "holm":
            chains = 1 if released else len(spec.methods) * len(spec.seeds)
            compared = sum(each.confidence is not None for each in spec.checks.compare)
            total += chains * len(confident_checks(spec.checks)) + (0 if released else compared)
    return total

"""What checks of a bound on a loss can show, said before anything is measured."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from pytest_eac.judging.hypotheses import rest
from pytest_eac.judging.suite import confident_checks, suite_size
from pytest_eac.spec.schema.abilities import BUILT_IN
from pytest_eac.stats.power import chance_of_no_more_loss, least_above

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_eac.spec.schema.abilities import AbilityBounds
    from pytest_eac.spec.spec import Spec

_LOST = 0.01


def loss_forecasts(spec: Spec) -> Iterator[str]:
    """Yield a line for each check with ``loses_at_most`` and a confidence.

    It says how many items are needed where nothing changes, and, if the number of items is known
    without reading data, with which chance the check passes where one item in a hundred is lost.
    The level is that of the strictest correction among the checks of a chain.
    """
    sure = suite_size([spec]) or len(confident_checks(spec.checks))
    factor = 1 if (spec.stats.correction, spec.stats.suite) == ("none", "none") else sure
    for name, bounds in spec.checks.abilities.items():
        if bounds.loses_at_most is None or bounds.confidence is None:
            continue
        most, level = bounds.loses_at_most, rest(bounds.confidence) / factor
        least = least_above(0.0, -most, level=level, low=-1.0)
        among = f" among {sure} checks" if factor > 1 else ""
        line = (
            f"{name}: loses_at_most {most:g} with confidence {bounds.confidence:g}{among} needs "
            f"{least:,} items or more, if none of them changes"
        )
        n = _items(name, bounds)
        if n is not None:
            chance = chance_of_no_more_loss(n, most, level=level, lost=_LOST)
            line += f"; with {n:,} items it passes {100 * chance:.0f} times in 100 if 1% are lost"
        yield line


def _items(name: str, bounds: AbilityBounds) -> int | None:
    """Return how many items are asked; ``None`` where only the data could say."""
    if bounds.data is not None or name not in BUILT_IN:
        return bounds.take
    own = files("pytest_eac.abilities") / "data" / f"{BUILT_IN[name].data}.jsonl"
    held = sum(1 for line in own.read_text(encoding="utf-8").splitlines() if line.strip())
    return min(held, bounds.take or held)

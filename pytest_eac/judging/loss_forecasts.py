"""What checks of a bound on a loss can show, computed before anything is measured."""

from collections.abc import Iterator
from importlib.resources import files

from pytest_eac.judging.hypotheses import rest
from pytest_eac.judging.suite import confident, suite_size
from pytest_eac.spec.schema.abilities import BUILT_IN, AbilityBounds
from pytest_eac.spec.spec import Spec
from pytest_eac.stats.means import chance_to_bound_a_loss, fewest_without_loss

_LOST = 0.01


def loss_forecasts(spec: Spec) -> Iterator[str]:
    """Yield a line for each check with ``loses_at_most`` and a confidence.

    It says how many items are needed where none changes, and, if the number of items is known
    without reading data, how likely the check passes where one item in a hundred is lost. The level
    is that of the strictest correction: the check has the smallest p-value of all.
    """
    among = len(confident(spec.checks.named())) if spec.stats.correction != "none" else 1
    if spec.stats.suite == "holm":
        among = suite_size([spec])
    for name, bounds in spec.checks.abilities.items():
        if bounds.loses_at_most is None or bounds.confidence is None:
            continue
        most, level = bounds.loses_at_most, rest(bounds.confidence) / among
        corrected = f", corrected over {among} checks," if among > 1 else ""
        line = (
            f"{name}: loses_at_most {most:g} with confidence {bounds.confidence:g}{corrected} "
            f"needs {fewest_without_loss(most, level=level):,} items or more, if none of them loses"
        )
        n = _items(name, bounds)
        if n is not None:
            chance = chance_to_bound_a_loss(n, most, level=level, lost=_LOST)
            line += f"; with {n:,} items of which 1% are lost, it passes with a chance of "
            line += f"{chance:.2f}"
        yield line


def _items(name: str, bounds: AbilityBounds) -> int | None:
    """Return how many items are asked; ``None`` where only the data could say."""
    if bounds.data is not None or name not in BUILT_IN:
        return bounds.take
    own = files("pytest_eac.abilities") / "data" / f"{BUILT_IN[name].data}.jsonl"
    held = sum(1 for line in own.read_text(encoding="utf-8").splitlines() if line.strip())
    return min(held, bounds.take or held)

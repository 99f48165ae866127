"""Two methods of a spec held against each other on the same edits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_eac import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.record import Chain
    from pytest_eac.spec.checks import Comparison


def compare(
    name: str,
    comparison: Comparison,
    subject: Sequence[Chain],
    other: Sequence[Chain],
) -> record.Comparison:
    """Judge whether one method's final value is below (or above) the other's, for every seed.

    Args:
        name: the check's name in node ids.
        comparison: the metric, the direction and the methods.
        subject: the chains of the method that must be below or above, one per seed.
        other: the chains of the other method, in the same order of seeds.
    """
    sign = "<" if comparison.less else ">"
    lines, values, held = [], [], True
    for one, two in zip(subject, other, strict=True):
        first, second = _final(one, comparison.metric), _final(two, comparison.metric)
        if first is None or second is None:
            return _undecided(name, comparison, one.spec)
        held = held and (first < second if comparison.less else first > second)
        values.append(first)
        lines.append(
            f"{_label(comparison.metric)} after {len(one.edits)} edits: {one.name} {first:.4g}, "
            f"{two.name} {second:.4g}; required {one.method} {sign} {two.method}"
        )
    return record.Comparison(
        spec=subject[0].spec,
        check=name,
        outcome="passed" if held else "failed",
        observed=values[0] if len(values) == 1 else None,
        required=f"{comparison.subject} {sign} {comparison.than}",
        message="\n".join(lines),
    )


def _undecided(name: str, comparison: Comparison, spec: str) -> record.Comparison:
    return record.Comparison(
        spec=spec,
        check=name,
        outcome="undecided",
        observed=None,
        required="",
        message=f"{name}: undecided: no edit has anything to measure {comparison.metric} on",
    )


def _label(metric: str) -> str:
    return "deviation (L1, relative)" if metric == "deviation" else metric


def _final(chain: Chain, metric: str) -> float | None:
    checkpoint = chain.checkpoints[-1]
    if metric == "deviation":
        return checkpoint.deviation.l1_relative
    value: float | None = getattr(checkpoint, metric).value
    return value

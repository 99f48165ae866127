"""Has a chain become worse than its baseline?"""

from pytest_eac.judging.limits import undecided
from pytest_eac.judging.run_diff import LEVEL, Change, PairedScore, change_of
from pytest_eac.records.run import Chain, Verdict
from pytest_eac.spec.metrics import DEVIATION, described

_SHOWN_EDITS = 5


def judge_regression(old: Chain, new: Chain, metric: str, tolerance: float) -> Verdict:
    """Judge whether a metric has become worse, at the end of the sequence, by more than tolerated.

    Scores are compared edit by edit (or item by item). ``failed``: their mean has fallen by more
    than ``tolerance`` (or risen, if the metric is better the lower it is), and chance alone would
    do so less than 5 times in 100 (one-sided, by
    :func:`pytest_eac.stats.differences.difference`). ``undecided``: it has fallen by more, but that
    could be chance. The deviation is one number that nothing random is in: it may rise by
    ``tolerance`` times its older value, as may another number that is better the lower it is.

    Args:
        old: the baseline's chain.
        new: the chain to judge, of the same edits.
        metric: ``locality``, ``deviation``, an ability, ...
        tolerance: 0.02 is two points of a share, and two percent of the deviation.
    """
    change = change_of(metric, old, new)
    check, required = f"baseline-{metric}", _required(metric, change, tolerance)
    if change is None or change.kind == "number" or change.reason:
        text = f"{metric} of {new.name}: undecided: {_obstacle(change)}"
        return undecided(check, text, required)
    outcome = _outcome(change, tolerance)
    lines = [f"{metric} of {new.name} against the baseline: {_described(change)}, {required}"]
    if outcome == "undecided":
        lines.append("undecided: that could be chance; take more edits or items, or tolerate more")
    if outcome != "passed":
        lines += _lost_lines(change, new)
    return Verdict(
        check=check,
        outcome=outcome,
        observed=change.change,
        required=required,
        message="\n".join(lines),
        n=change.n or None,
        low=change.low,
        high=change.high,
        p=change.chance,
    )


def _obstacle(change: Change | None) -> str:
    """Say why a metric cannot be judged."""
    if change is None:
        return "not measured in both this run and the baseline"
    if change.reason:
        advice = "edit the same layers, or give the deviation a max of its own in the spec"
        return f"{_described(change)}; {advice}"
    return (
        f"{change.new:.4g}, was {change.old:.4g}; it has no scores in pairs, so nothing shows "
        "what is noise, and which way is better is not known; give it a limit in the spec"
    )


def _described(change: Change) -> str:
    """Say in words how a metric has moved."""
    if change.change is None:
        reason = f"; {change.reason}" if change.reason else ""
        return f"{change.new:.4g}, was {change.old:.4g}{reason}"
    if change.kind == "relative":
        numbers = f"{change.new:.4g}, was {change.old:.4g}"
        return f"{numbers}: {_direction(change.change)} by {abs(change.change):.2%}"
    if change.low is None or change.high is None:
        interval = "no interval"
    else:
        interval = f"95% interval {change.low:+.3f} to {change.high:+.3f}"
    return (
        f"{change.new:.3f}, was {change.old:.3f}: {_direction(change.change)} by "
        f"{abs(change.change):.3f} (n={change.n} {change.kind}, {interval}, p={change.p:.2g})"
    )


def _direction(change: float) -> str:
    return "down" if change < 0 else "up"


def _required(metric: str, change: Change | None, tolerance: float) -> str:
    way = "rise" if described(metric).better == "lower" else "fall"
    is_share = metric == DEVIATION or (change is not None and change.kind == "relative")
    return f"tolerated a {way} of {tolerance:.4g}{' times the older value' if is_share else ''}"


def _outcome(change: Change, tolerance: float) -> str:
    if change.worsening <= tolerance:
        return "passed"
    is_noise = change.chance is not None and change.chance >= LEVEL
    return "undecided" if is_noise else "failed"


def _lost_lines(change: Change, chain: Chain) -> list[str]:
    flips = change.gained if change.rising_is_worse else change.lost
    lines = [_lost_line(flip, change, chain) for flip in flips[:_SHOWN_EDITS]]
    more = len(flips) - _SHOWN_EDITS
    return [*lines, f"  and {more} more"] if more > 0 else lines


def _lost_line(flip: PairedScore, change: Change, chain: Chain) -> str:
    scores = f"scores {flip.new:.3g}, was {flip.old:.3g}"
    if change.kind == "items":
        return f"  item {flip.item + 1}: {scores}"
    edit = chain.edits[flip.item]
    return f"  edit {flip.item + 1} ({edit.origin}): {edit.texts.prompt!r} {scores}"

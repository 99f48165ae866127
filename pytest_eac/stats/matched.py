"""Two curves of shares over an amount: how far apart are they at equal shares?

This is the relative potency of bioassay (Finney 1978, "Statistical Method in Biological Assay",
chapter 4): shares rise with the logarithm of an amount along one curve, and the curve of the one
side is that of the other one moved sideways. Here amounts are deviations, and shares are what was
kept at each strength of a method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt
from typing import Any

import numpy as np
import scipy

LEAST_ITEMS = 10
"""With fewer items no interval has been seen to hold."""
LEAST_STRENGTHS = 3
"""With fewer strengths at which shares rise, a side has no curve."""
LEAST_RANGE = 0.2
"""Curves that have less of a range of shares in common say nothing about equal shares."""
# Curves of fewer points (both sides together) are fitted without a bend.
_BENT = 6
# Ratios are shown up to the exponential of this.
_FAR = 100.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShareCurve:
    """What one side measured at K strengths on the same n items.

    Attributes:
        scores: (K, n), of each item at each strength, between 0 and 1.
        amounts: (K,), above 0.
        steps: (K, n), what each item added: an amount's square is their sum, or in proportion to
            it, as the length of a random walk is. They say how other items would move the amount.
    """

    scores: Any
    amounts: Any
    steps: Any

    @property
    def shares(self) -> list[float]:
        """The mean scores (K,)."""
        return [float(each) for each in np.asarray(self.scores).mean(axis=1)]

    @property
    def rising(self) -> ShareCurve:
        """The strengths up to the one with the highest share, by ascending amount.

        A stronger one costs more and gives less: nobody would take it to reach a share.
        """
        order = np.argsort(self.amounts, kind="stable")
        order = order[: int(np.argmax(np.asarray(self.scores).mean(axis=1)[order])) + 1]
        return ShareCurve(
            scores=np.asarray(self.scores, dtype=float)[order],
            amounts=np.asarray(self.amounts, dtype=float)[order],
            steps=np.asarray(self.steps, dtype=float)[order],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """How the amounts of two sides differ at equal shares.

    Attributes:
        ratio: the second side's amount over the first one's; ``None`` where the shares do not rise
            with the amounts.
        low: lower end of its interval.
        high: its upper end.
        p: of the hypothesis that the second side's amount is at least as large as the first one's
            at some share in the middle half of those that both reach.
        n: how many items there are.
        alike: the p-value of the hypothesis that both curves rise alike; if they do not, the ratio
            differs from share to share.
    """

    ratio: float | None
    low: float | None
    high: float | None
    p: float
    n: int
    alike: float


def overlap(one: ShareCurve, two: ShareCurve) -> tuple[float, float] | None:
    """Return the lowest and the highest share that both sides reach while they rise.

    ``None`` if they have no range of ``LEAST_RANGE`` in common.
    """
    shares = [each.rising.shares for each in (one, two)]
    low, high = max(map(min, shares)), min(map(max, shares))
    return (low, high) if high - low >= LEAST_RANGE - 1e-9 else None


def matched(one: ShareCurve, two: ShareCurve, *, confidence: float = 0.95) -> Matched:
    """Compare the amounts of two sides at equal shares.

    The logits of all shares (half an item is added to both their sides) are fitted by least squares
    to one curve of the logarithm of the amounts, with a bend (a square term) from six points on,
    and a height for each side; weights are the logits' precisions. At equal shares the sides then
    differ by the difference of the heights over the slope. Every item's part in all of it is found
    by leaving the item out (jackknife): the interval of the ratio is Fieller's.

    The p-value does not rest on a single ratio: curves may cross. It is the largest of three, each
    of Student's t: of the difference of heights, and of the distance between curves that have
    slopes of their own, at the quarters of the range of shares that both sides reach.

    Args:
        one: the first side.
        two: the second side, of the same items in the same order.
        confidence: the level of the interval, in (0, 1).

    Source: Finney (1978), chapter 4; Fieller (1954), "Some problems in interval estimation"; Berger
    (1982), "Multiparameter hypothesis testing and acceptance sampling", for the largest p-value.
    """
    sides = (one.rising, two.rising)
    n = sides[0].scores.shape[1]
    (height, slope, apart, *ends), covariance = _jackknifed(sides, n)
    errors = np.sqrt(covariance.diagonal())
    apart_error = errors[2]
    student = scipy.stats.t(n - 1)
    distances = [(height, errors[0]), *zip(ends, errors[3:], strict=True)]
    p = max(float(student.sf(each / error)) if error else 1.0 for each, error in distances)
    alike = float(2 * student.sf(abs(apart) / apart_error)) if apart_error else 1.0
    t = float(student.ppf((1 + confidence) / 2))
    # Fieller: all d with (height + d slope)^2 <= t^2 var(height + d slope).
    a = slope**2 - t**2 * covariance[1, 1]
    if a <= 0 or slope <= 0:
        return Matched(ratio=None, low=None, high=None, p=1.0, n=n, alike=alike)
    b = height * slope - t**2 * covariance[0, 1]
    half = sqrt(max(0.0, b**2 - a * (height**2 - t**2 * covariance[0, 0])))
    ratio, low, high = (
        exp(min(max(each, -_FAR), _FAR))
        for each in (-height / slope, (-b - half) / a, (-b + half) / a)
    )
    return Matched(ratio=ratio, low=low, high=high, p=p, n=n, alike=alike)


def _jackknifed(sides: Sequence[ShareCurve], n: int) -> tuple[Any, Any]:
    """Return height, slope, difference of slopes and two distances (5,), and their covariance.

    The distances are those of curves with slopes of their own, at the quarters of the range of
    shares that both reach. The covariance allows for the three numbers that are estimated from the
    items.
    """
    ends = _quarters(sides)
    found, left_out = (
        _fitted(sides, weights, ends)
        for weights in (np.ones((1, n)), (1 - np.eye(n)) * n / (n - 1))
    )
    spread = left_out - left_out.mean(axis=0)
    return found[0], (n - 1) / (n - 3) * spread.T @ spread


def _fitted(sides: Sequence[ShareCurve], weights: Any, ends: Any) -> Any:
    """Return the five numbers, (B, 5), for weights of the items, (B, n)."""
    common, center = _fit(sides, weights)
    own, _ = _fit(sides, weights, own_slopes=True)
    distances = own[:, :1] + own[:, 2:3] * (ends - center)
    return np.concatenate([common, own[:, 2:3], distances], axis=1)


def _quarters(sides: Sequence[ShareCurve]) -> Any:
    """Return the logarithms of the amounts, (2,), at the quarters of the shares that both reach.

    It is the mean over the sides, whose curves are joined by straight lines for it.
    """
    low = max(min(side.shares) for side in sides)
    high = min(max(side.shares) for side in sides)
    cut = (high - low) / 4
    found = [
        np.interp([low + cut, high - cut], np.maximum.accumulate(side.shares), np.log(side.amounts))
        for side in sides
    ]
    return np.mean(found, axis=0)


def _fit(sides: Sequence[ShareCurve], weights: Any, *, own_slopes: bool = False) -> tuple[Any, Any]:
    """Return height and slope (B, 2) for weights of the items (B, n), each of sum n.

    With slopes of their own, the difference of the slopes follows (B, 3). Heights are those at a
    logarithm of the amount that is returned as well, (B, 1).
    """
    n = weights.shape[1]
    logits, logs, precisions, second = [], [], [], []
    for index, side in enumerate(sides):
        shares = np.clip(weights @ side.scores.T / n, 0.0, 1.0)
        logits.append(np.log((n * shares + 0.5) / (n - n * shares + 0.5)))
        means = np.maximum(side.steps.mean(axis=1), np.finfo(float).tiny)
        moved = np.maximum(weights @ side.steps.T / n, np.finfo(float).tiny) / means
        logs.append(np.log(side.amounts) + np.log(moved) / 2)
        precisions.append(n * shares * (1 - shares) + 0.5)
        second.append(np.full(shares.shape, float(index)))
    y, x, w, g = (np.concatenate(each, axis=1) for each in (logits, logs, precisions, second))
    center = (w * x).sum(axis=1, keepdims=True) / w.sum(axis=1, keepdims=True)
    x = x - center
    terms = [np.ones_like(x), g, x] + ([g * x] if own_slopes else [])
    terms += [x**2] if x.shape[1] >= _BENT else []
    design = np.sqrt(w)[:, :, None] * np.stack(terms, axis=2)
    found = np.linalg.pinv(design) @ (np.sqrt(w) * y)[:, :, None]
    return found[:, 1 : 4 if own_slopes else 3, 0], center

from dataclasses import replace
from math import exp, log, sqrt

import numpy as np
import pytest
import scipy

from pytest_eac.stats.matched import ShareCurve, matched, overlap
from tests.stats.writing import Situation, draw

TIMES = 300


def curve(shares: list[float], amounts: list[float], n: int = 20) -> ShareCurve:
    scores = [[float(item < round(share * n)) for item in range(n)] for share in shares]
    return ShareCurve(scores=scores, amounts=amounts, steps=[[each**2 / n] * n for each in amounts])


def passes(one: ShareCurve, two: ShareCurve) -> bool:
    found = matched(one, two)
    return overlap(one, two) is not None and found.ratio is not None and found.p <= 0.05


def test_the_same_curve_moved_sideways_has_the_ratio_it_was_moved_by() -> None:
    shares = [0.2, 0.4, 0.7, 0.9]
    one = curve(shares, [1.0, 2.0, 4.0, 8.0])
    found = matched(one, curve(shares, [0.5, 1.0, 2.0, 4.0]))
    assert found.ratio == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5, abs=0.02), "the same items on both sides"
    assert matched(one, one).ratio == pytest.approx(1.0)


def test_swapped_sides_give_the_inverse() -> None:
    one, two = draw(np.random.default_rng(5), 30, Situation(), less=0.7)
    there, back = matched(one, two), matched(two, one)
    assert there.ratio is not None
    assert there.low is not None
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert back.high == pytest.approx(1 / there.low)
    assert there.p < 0.5 < back.p


def slow(one: ShareCurve, two: ShareCurve) -> tuple[float, float, float, float]:
    """Ratio, p-value and interval, item by item, by other means: scipy's fit, a grid of ratios."""
    one, two = one.rising, two.rising
    n = one.scores.shape[1]
    reached = [max(min(one.shares), min(two.shares)), min(max(one.shares), max(two.shares))]
    middle = [reached[0] + part * (reached[1] - reached[0]) for part in (0.25, 0.75)]
    ends = [
        np.mean([np.interp(share, side.shares, np.log(side.amounts)) for side in (one, two)])
        for share in middle
    ]

    def heights(kept: list[int]) -> list[float]:
        rows, logits, weights = [], [], []
        for group, side in enumerate((one, two)):
            for scores, amount, steps in zip(side.scores, side.amounts, side.steps, strict=True):
                share = sum(scores[i] for i in kept) / len(kept)
                moved = sum(steps[i] for i in kept) / len(kept) / (sum(steps) / n)
                rows.append([group, log(amount * sqrt(moved))])
                logits.append(log((n * share + 0.5) / (n * (1 - share) + 0.5)))
                weights.append(n * share * (1 - share) + 0.5)
        center = np.average([x for _, x in rows], weights=weights)

        def fitted(own: float) -> np.ndarray:
            def residuals(found: np.ndarray) -> list[float]:
                level, height, slope, bend, apart = found
                return [
                    sqrt(w)
                    * (
                        y
                        - level
                        - height * g
                        - (slope + own * apart * g) * (x - center)
                        - bend * (x - center) ** 2
                    )
                    for (g, x), y, w in zip(rows, logits, weights, strict=True)
                ]

            start = [0.0, 0.0, 1.0, 0.0, 0.0]
            found = scipy.optimize.least_squares(residuals, start, xtol=1e-15, ftol=1e-15)
            return np.asarray(found.x)

        common, own = fitted(0.0), fitted(1.0)
        apart = [own[1] + own[4] * (end - center) for end in ends]
        return [float(common[1]), float(common[2]), *map(float, apart)]

    height, slope, *distances = heights(list(range(n)))
    others = [heights([i for i in range(n) if i != out]) for out in range(n)]

    def error(of: list[float]) -> float:
        mean = sum(of) / n
        return sqrt((n - 1) / (n - 3) * sum((each - mean) ** 2 for each in of))

    def moved_by(ratio: float) -> list[float]:
        return [a + b * ratio for a, b, *_ in others]

    tails = [each[2:] for each in others]
    parts = [(height, moved_by(0)), *zip(distances, zip(*tails, strict=True), strict=True)]
    p = max(float(scipy.stats.t.sf(each / error(list(of)), n - 1)) for each, of in parts)
    t = float(scipy.stats.t.ppf(0.975, n - 1))
    grid = np.linspace(-3, 3, 60001)
    inside = [d for d in grid if abs(height + slope * d) <= t * error(moved_by(d))]
    return exp(-height / slope), p, exp(inside[0]), exp(inside[-1])


def test_the_numbers_are_those_of_a_slow_twin() -> None:
    one, two = draw(np.random.default_rng(8), 12, Situation(steep=2.0), less=0.7)
    assert min(len(each.rising.amounts) for each in (one, two)) >= 3
    found = matched(one, two)
    ratio, p, low, high = slow(one, two)
    assert found.ratio == pytest.approx(ratio, rel=1e-5)
    assert found.p == pytest.approx(p, rel=1e-4)
    assert (found.low, found.high) == pytest.approx((low, high), rel=2e-4)


def test_a_strength_beyond_the_best_one_does_not_count() -> None:
    one = curve([0.2, 0.5, 0.9], [1.0, 2.0, 4.0])
    harmed = curve([0.2, 0.5, 0.9, 0.1], [1.0, 2.0, 4.0, 9.0])
    assert harmed.rising.shares == one.shares
    other = curve([0.3, 0.6, 0.8], [1.0, 2.0, 4.0])
    assert matched(harmed, other) == matched(one, other)


def test_curves_that_reach_no_share_in_common_do_not_overlap() -> None:
    low, high = curve([0.1, 0.3], [1.0, 2.0]), curve([0.5, 0.9], [1.0, 2.0])
    assert overlap(low, high) is None
    assert overlap(high, curve([0.2, 0.7], [1.0, 2.0])) == (0.5, 0.7)
    assert overlap(high, curve([0.2, 0.55], [1.0, 2.0])) is None, "hardly any"
    full = curve([1.0, 1.0], [1.0, 2.0])
    assert overlap(full, full) is None, "both keep all at every strength"


def test_shares_that_do_not_rise_have_no_ratio() -> None:
    rng = np.random.default_rng(3)
    scores = (rng.random((2, 3, 20)) < 0.5).astype(float)
    one, two = (replace(curve([0.5] * 3, [1.0, 2.0, 4.0]), scores=each) for each in scores)
    assert matched(one, two).ratio is None
    assert matched(one, two).p == 1


@pytest.mark.parametrize(
    ("situation", "weaker"),
    [
        (Situation(), 0.6),
        (Situation(), 1.6),
        (Situation(harm=2.0), 0.6),
        (Situation(never=0.15), 0.6),
    ],
    ids=["weaker", "stronger", "harm", "never"],
)
def test_a_method_that_only_writes_less_does_not_win(situation: Situation, weaker: float) -> None:
    """Its deviation is less at equal steps; at equal retention it passes at most by chance."""
    rng = np.random.default_rng(21)
    runs = [draw(rng, 30, situation, weaker=weaker) for _ in range(TIMES)]
    at_equal_steps = sum(two.amounts[-1] < one.amounts[-1] for one, two in runs)
    assert at_equal_steps == (TIMES if weaker < 1 else 0)
    wins = sum(passes(one, two) for one, two in runs)
    assert wins <= scipy.stats.binom.ppf(0.999, TIMES, 0.05)


def test_a_truly_better_method_wins_even_if_it_writes_more() -> None:
    rng = np.random.default_rng(22)
    runs = [draw(rng, 50, Situation(), weaker=2.0, less=0.6) for _ in range(TIMES)]
    assert sum(two.amounts[-1] < one.amounts[-1] for one, two in runs) < 0.05 * TIMES
    assert sum(passes(one, two) for one, two in runs) > 0.6 * TIMES


@pytest.mark.parametrize("steeper", [0.5, 2.0])
def test_curves_that_cross_where_half_is_kept_hardly_ever_win(steeper: float) -> None:
    """One is better below, the other above: by the heights alone, 45% passed at 20 edits."""
    rng = np.random.default_rng(25)
    runs = [draw(rng, 20, Situation(steep=3.0), steeper=steeper) for _ in range(TIMES)]
    assert sum(passes(one, two) for one, two in runs) <= scipy.stats.binom.ppf(0.999, TIMES, 0.05)


def test_the_interval_holds_the_true_ratio() -> None:
    rng = np.random.default_rng(23)
    held = 0
    for _ in range(TIMES):
        found = matched(*draw(rng, 30, Situation(), weaker=0.6, less=0.7))
        held += found.low is not None and found.low <= 0.7 <= (found.high or 0)
    assert held >= scipy.stats.binom.ppf(0.001, TIMES, 0.95)


def test_curves_of_different_shapes_are_told_apart() -> None:
    rng = np.random.default_rng(24)
    for steeper, least, most in ((1.0, 0, 0.1), (3.0, 0.8, 1)):
        runs = [draw(rng, 40, Situation(), steeper=steeper) for _ in range(TIMES // 3)]
        alike = [matched(one, two).alike for one, two in runs]
        assert least <= sum(p <= 0.05 for p in alike) / len(alike) <= most

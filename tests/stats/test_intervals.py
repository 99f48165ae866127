from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binomtest, multinomial, ttest_1samp

from pytest_eac.stats.intervals import newcombe, student, student_between, tang, wilson

SHARES = st.floats(0, 1)
COUNTS = st.integers(1, 10_000)
LEVELS = st.floats(0.5, 0.999)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [1, 2, 10, 137])
def test_wilson_agrees_with_scipy_for_every_count(n: int, confidence: float) -> None:
    for hits in range(n + 1):
        expected = binomtest(hits, n).proportion_ci(confidence, method="wilson")
        found = wilson(hits / n, n, confidence=confidence)
        assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_level_is_95_percent_by_default() -> None:
    assert wilson(0.3, 20) == wilson(0.3, 20, confidence=0.95)
    assert wilson(0.3, 20) != wilson(0.3, 20, confidence=0.9)


@given(share=SHARES, n=COUNTS, confidence=LEVELS)
def test_the_interval_holds_the_mean_and_stays_between_0_and_1(
    share: float, n: int, confidence: float
) -> None:
    low, high = wilson(share, n, confidence=confidence)
    assert 0 <= low <= share <= high <= 1


@given(share=SHARES, n=st.integers(1, 5_000))
def test_more_items_narrow_the_interval(share: float, n: int) -> None:
    few, many = wilson(share, n), wilson(share, 2 * n)
    assert many[1] - many[0] < few[1] - few[0]


@given(share=SHARES, n=COUNTS, one=LEVELS, two=LEVELS)
def test_more_confidence_widens_the_interval(share: float, n: int, one: float, two: float) -> None:
    inner = wilson(share, n, confidence=min(one, two))
    outer = wilson(share, n, confidence=max(one, two))
    assert outer[0] <= inner[0] + 1e-12
    assert inner[1] <= outer[1] + 1e-12


@given(share=SHARES, n=COUNTS)
def test_the_interval_of_what_is_left_is_the_mirror_image(share: float, n: int) -> None:
    low, high = wilson(share, n)
    mirrored = wilson(1 - share, n)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize("n", [1, 5, 1000])
def test_all_or_nothing_still_leaves_doubt_on_one_side(n: int) -> None:
    assert wilson(0.0, n)[0] == 0.0
    assert 0.0 < wilson(0.0, n)[1] < 1.0
    assert wilson(1.0, n)[1] == 1.0
    assert 0.0 < wilson(1.0, n)[0] < 1.0


@given(values=st.lists(st.floats(-1, 1), min_size=2, max_size=30), confidence=LEVELS)
def test_student_agrees_with_scipy(values: list[float], confidence: float) -> None:
    if max(values) - min(values) < 1e-6:
        values = [*values, max(values) + 1]
    expected = ttest_1samp(values, 0).confidence_interval(confidence)
    found = student(values, confidence=confidence)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_one_value_says_nothing_of_the_next() -> None:
    assert student([0.5]) is None
    assert student([0.5, 0.5]) == (0.5, 0.5)


@given(values=st.lists(st.floats(-1, 1), min_size=2, max_size=12), confidence=LEVELS)
def test_an_interval_between_minus_1_and_1_stays_there_and_holds_the_mean(
    values: list[float], confidence: float
) -> None:
    low, high = student_between(values, confidence=confidence) or (None, None)
    assert low is not None
    assert high is not None
    assert -1 <= low <= sum(values) / len(values) + 1e-9
    assert sum(values) / len(values) - 1e-9 <= high <= 1


def test_it_is_students_where_the_values_are_far_from_the_ends() -> None:
    values = [0.01, -0.02, 0.015, 0.0, -0.01]
    assert student_between(values) == pytest.approx(student(values), abs=1e-5)


@pytest.mark.parametrize("n", [3, 9])
@pytest.mark.parametrize("mean", ["near 0", "near 1"])
def test_it_covers_at_about_its_level_with_few_values(n: int, mean: str) -> None:
    generator = np.random.default_rng(n)
    shares = generator.beta(20, 1, (1500, n))  # skewed: plain Student's t holds 0.89 of the time
    other = generator.beta(20, 1, (1500, n)) if mean == "near 0" else 0.0
    expected = 0.0 if mean == "near 0" else 20 / 21
    ends = [student_between(row.tolist()) or (1.0, -1.0) for row in shares - other]
    covered = sum(low <= expected <= high for low, high in ends) / len(ends)
    assert covered >= 0.92


def test_newcombes_interval_agrees_with_the_papers_example_and_with_wilsons_ends() -> None:
    assert newcombe(36, 12, 2, 0) == pytest.approx((0.0569, 0.3404), abs=1e-4)
    nothing = wilson(0.0, 54)[1]  # with no item right, each side is uncertain upwards alone
    assert newcombe(0, 0, 0, 54) == pytest.approx((-nothing, nothing))


@given(counts=st.tuples(*[st.integers(0, 40)] * 4).filter(any), confidence=LEVELS)
def test_newcombes_interval_stays_between_minus_1_and_1_and_turns_with_the_sides(
    counts: tuple[int, int, int, int], confidence: float
) -> None:
    both, first, second, neither = counts
    low, high = newcombe(both, first, second, neither, confidence=confidence)
    assert -1 <= low <= (first - second) / sum(counts) + 1e-12
    assert (first - second) / sum(counts) - 1e-12 <= high <= 1
    turned = newcombe(both, second, first, neither, confidence=confidence)
    assert (-turned[1], -turned[0]) == pytest.approx((low, high))


@pytest.mark.parametrize(
    "shares", [(0.6, 0.2, 0.1, 0.1), (0.4, 0.3, 0.1, 0.2), (0.9, 0.05, 0.03, 0.02)]
)
def test_newcombes_interval_covers_at_its_level(shares: tuple[float, ...]) -> None:
    """Exact, over all tables of 12 items."""
    n, true = 12, shares[1] - shares[2]
    covered = 0.0
    for first, second, neither in product(range(n + 1), repeat=3):
        both = n - first - second - neither
        if both >= 0:
            low, high = newcombe(both, first, second, neither)
            if low <= true <= high:
                covered += multinomial.pmf((both, first, second, neither), n, shares)
    assert covered >= 0.95


def likeliest(ratio: float, both: int, lost: int, gained: int, neither: int) -> float:
    """The share of items that are right on both sides and on the first, by a search."""
    n = both + lost + gained + neither
    found, best = (0.0, 0.0), -math.inf
    for first in np.linspace(0.001, min(1, 1 / ratio) - 0.001, 300):
        for kept in np.linspace(0.001, min(1, ratio) - 0.001, 300):
            cells = (
                first * kept,
                first * (1 - kept),
                first * (ratio - kept),
                1 - first * (1 + ratio - kept),
            )
            if min(cells) <= 0:
                continue
            value = sum(
                count * math.log(cell)
                for count, cell in zip((both, lost, gained, neither), cells, strict=True)
            )
            if value > best:
                found, best = (first, kept), value
    first, kept = found
    return n * ratio * first * (1 + ratio - 2 * kept)


@pytest.mark.parametrize("counts", [(15, 6, 3, 10), (30, 4, 0, 5), (5, 9, 2, 30)])
def test_the_interval_of_a_ratio_ends_where_its_score_is_that_of_the_level(
    counts: tuple[int, int, int, int],
) -> None:
    """The variance comes from the likeliest shares with that ratio, here by a search."""
    both, lost, gained, _ = counts
    for ratio, sign in zip(tang(both, lost, gained), (1, -1), strict=True):
        score = both + gained - ratio * (both + lost)
        assert score / math.sqrt(likeliest(ratio, *counts)) == pytest.approx(sign * 1.96, rel=0.02)


@given(both=st.integers(0, 60), lost=st.integers(0, 60), gained=st.integers(0, 60))
def test_a_ratio_is_in_its_interval_and_turns_round_with_its_sides(
    both: int, lost: int, gained: int
) -> None:
    assume(both + lost > 0)
    low, high = tang(both, lost, gained)
    assert 0 <= low <= (both + gained) / (both + lost) <= high
    if both + gained:
        back = tang(both, gained, lost)
        assert high == pytest.approx(1 / back[0], rel=1e-5)

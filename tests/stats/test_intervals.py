from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp

from pytest_eac.stats.intervals import student, wilson

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

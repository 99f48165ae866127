"""Intervals of paired numbers at their edges: one item, few items, other levels."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from pytest_eac.stats.differences import difference
from pytest_eac.stats.intervals import student
from pytest_eac.stats.paired import Interval, kept, resampled
from pytest_eac.stats.samples import p_over_samples

VALUES = [0.1, 0.5, 0.9, 0.2, 0.35, 0.6, 0.15, 0.7, 0.05, 0.45, 0.4, 0.8]


def mean(column: Any) -> Any:
    return column.mean(axis=-1)


def width(found: Interval) -> float:
    assert found.low is not None
    assert found.high is not None
    return found.high - found.low


def test_one_item_has_a_value_and_no_ends_and_two_have_ends() -> None:
    assert resampled(mean, [3.0]) == Interval(value=3.0, low=None, high=None)
    assert width(resampled(mean, [3.0, 4.0])) > 0


def test_a_lower_confidence_has_a_narrower_interval() -> None:
    """A bootstrap of a mean is about normal: half of the mass is within 0.344 of the 95%."""
    for one, two in (
        (resampled(mean, VALUES, confidence=0.5), resampled(mean, VALUES)),
        (
            difference(VALUES, [0.0] * 12, confidence=0.5).mean,
            difference(VALUES, [0.0] * 12).mean,
        ),
    ):
        assert width(one) / width(two) == pytest.approx(0.344, abs=0.05)
    few = [difference(VALUES[:5], [0.0] * 5, confidence=level).mean for level in (0.5, 0.95)]
    assert width(few[0]) < 0.5 * width(few[1])


def test_columns_are_resampled_together() -> None:
    """Apart from one another, two columns that differ by 1 throughout would scatter."""
    other = [value - 1 + 0.001 * at for at, value in enumerate(VALUES)]
    found = resampled(lambda one, two: (one - two).mean(axis=-1), VALUES, other)
    assert width(found) < 0.01


def test_a_seed_draws_the_same_again_and_another_one_something_else() -> None:
    one, two = (difference(VALUES, [0.3] * 12, seed=seed) for seed in (1, 2))
    assert one.mean != two.mean
    assert one == difference(VALUES, [0.3] * 12, seed=1)
    signs = np.random.default_rng(1).normal(0.2, 1.0, 30).tolist()
    flips = [difference(signs, [0.0] * 30, shares=False, seed=seed).p for seed in (1, 1, 3)]
    assert flips[0] == flips[1] != flips[2]


@pytest.mark.parametrize("shares", [True, False])
def test_the_mean_difference_is_told_for_any_number_of_pairs(*, shares: bool) -> None:
    for n in (1, 2, 9, 10, 12):
        found = difference(VALUES[:n], [0.3] * n, shares=shares).mean
        assert found.value == pytest.approx(fmean(VALUES[:n]) - 0.3)
        assert (found.low is None) == (n == 1)


def test_from_ten_differences_on_the_interval_is_a_bootstrap() -> None:
    for n in (9, 10):
        gaps = [value - 0.3 for value in VALUES[:n]]
        found = difference(VALUES[:n], [0.3] * n, shares=False).mean
        by_student = student(gaps)
        assert by_student is not None
        assert ((found.low, found.high) == pytest.approx(by_student)) == (n < 10)


def test_one_difference_is_as_likely_as_its_opposite() -> None:
    assert difference([0.4], [0.3], shares=False).p == 0.5
    assert difference([9.4], [0.3], shares=False).p == 0.5
    assert difference([0.2], [0.3], shares=False).p == 1.0
    assert difference([0.3], [0.3], shares=False).p == 1.0


def test_shares_of_samples_at_and_beside_the_limit() -> None:
    """Samples that are alike: the exact test of all edits alone speaks."""
    means, counts = [0.5] * 3, [100] * 3
    assert p_over_samples(means, 0.0, counts=counts) == 0.0
    assert p_over_samples(means, 0.5, counts=counts) == 1.0
    assert p_over_samples(means, 0.6, counts=counts) == 1.0
    assert p_over_samples(means, 0.49999, counts=counts) == pytest.approx(0.5, abs=0.06)
    sure = p_over_samples([1.0] * 40, 0.01, counts=[100] * 40)
    assert sure is not None
    assert 0 < sure < 1e-11


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("n", [2, 3, 12])
def test_ends_of_what_is_kept_of_scores_are_just_what_students_t_does_not_reject(
    n: int, confidence: float
) -> None:
    """The t test of ``after - ratio * before``, by scipy, is the twin."""
    before = np.linspace(0.5, 0.505, n)
    after = before * np.where(np.arange(n) % 2, 0.399, 0.4) + 0.0002 * np.arange(n)
    found = kept(before.tolist(), after.tolist(), confidence=confidence)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    for end in (found.low, found.high):
        if end:
            p = ttest_1samp(after - end * before, 0.0).pvalue
            assert p == pytest.approx(1 - confidence, rel=1e-6)
    small = kept((1e-7 * before).tolist(), (1e-7 * after).tolist(), confidence=confidence)
    assert small is not None
    assert (small.low, small.high) == pytest.approx((found.low, found.high))


def test_where_the_base_may_be_0_what_is_kept_has_no_ends() -> None:
    found = kept([0.9, 0.0, 0.0, 0.01], [0.8, 0.0, 0.1, 0.0])
    assert found is not None
    assert found.value == pytest.approx(0.9 / 0.91)
    assert (found.low, found.high) == (None, None)

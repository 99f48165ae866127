from __future__ import annotations

from math import sqrt
from statistics import fmean, stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom, t

from benchmarks.simulations.samples import (
    Held,
    ends,
    held,
    normal,
    of_sizes,
    seeds_of_one_set,
    sets_of_edits,
    shares_of_sets,
)
from pytest_eac.stats.foreseen import Foreseen
from pytest_eac.stats.intervals import wilson
from pytest_eac.stats.samples import inference, mean_of_samples, needed_samples, p_over_samples

RUNS = 400
# What chance alone leaves of so many runs, once in a thousand times.
MOST_PASSED = int(binom.ppf(0.999, RUNS, 0.05)) / RUNS
LEAST_COVERED = int(binom.ppf(0.001, RUNS, 0.94)) / RUNS

MEANS = st.lists(st.floats(0, 1), min_size=2, max_size=12)


# Numbers of a chain


@given(means=st.lists(st.floats(-5, 5), min_size=2, max_size=12), limit=st.floats(-5, 5))
def test_few_samples_are_judged_by_students_t(means: list[float], limit: float) -> None:
    found = mean_of_samples(means, confidence=0.9)
    assert found.value == pytest.approx(fmean(means))
    if max(means) - min(means) < 1e-6:
        return
    error = stdev(means) / sqrt(len(means))
    half = t.ppf(0.95, len(means) - 1) * error
    assert (found.low, found.high) == pytest.approx((fmean(means) - half, fmean(means) + half))
    p = t.sf((fmean(means) - limit) / error, len(means) - 1)
    assert p_over_samples(means, limit) == pytest.approx(p)


def test_one_sample_and_equal_numbers_show_nothing_of_others() -> None:
    for means in ([0.3], [0.3, 0.3, 0.1 + 0.2]):
        found = mean_of_samples(means)
        assert (found.low, found.high) == (None, None)
        assert p_over_samples(means, 0.0) is None
        assert needed_samples(means, 0.0, level=0.05) is None


def test_from_twenty_samples_on_whole_samples_are_resampled() -> None:
    means = [float(x) for x in np.random.default_rng(3).exponential(size=24)]
    found = mean_of_samples(means, confidence=0.9)
    values, error = np.array(means), stdev(means) / sqrt(24)
    drawn = np.random.default_rng(8)
    statistics = []
    for _ in range(8000):  # the slow twin: one resample after the other
        again = drawn.choice(values, size=24)
        statistics.append((again.mean() - values.mean()) / (again.std(ddof=1) / sqrt(24)))
    low, high = np.quantile(statistics, (0.05, 0.95))
    student = t.ppf(0.95, 23)
    assert found.low == pytest.approx(fmean(means) - max(high, student) * error, abs=0.02)
    assert found.high == pytest.approx(fmean(means) - min(low, -student) * error, abs=0.02)
    assert low < -1.1 * student  # the means are skewed, and the bootstrap sees it
    assert (inference(19), inference(20)) == ("Student's t", "cluster bootstrap")
    assert inference(19, shares=True) == "Student's t and Korn-Graubard"
    assert mean_of_samples(means) == mean_of_samples(means)


def test_means_that_differ_by_little_more_than_rounding_cannot_be_resampled() -> None:
    """Hardly a resample has a standard error; Student's t stands alone."""
    means = [0.5] * 19 + [0.5 + 4e-12]
    found = mean_of_samples(means)
    half = t.ppf(0.975, 19) * stdev(means) / sqrt(20)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * half, rel=1e-2)
    assert p_over_samples(means, 0.5) == pytest.approx(
        t.sf((fmean(means) - 0.5) / (stdev(means) / sqrt(20)), 19), rel=1e-2
    )


# Shares


@given(right=st.lists(st.integers(0, 10), min_size=2, max_size=8))
def test_an_interval_of_shares_has_that_of_independent_edits_in_it(right: list[int]) -> None:
    means = [each / 10 for each in right]
    found = mean_of_samples(means, counts=[10] * len(means))
    total, edits = sum(right), 10 * len(right)
    low = beta.ppf(0.025, total, edits - total + 1) if total else 0.0
    high = beta.ppf(0.975, total + 1, edits - total) if total < edits else 1.0
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= low + 1e-9
    assert high - 1e-9 <= found.high <= 1


@given(means=MEANS, confidence=st.sampled_from([0.8, 0.95]))
def test_shares_turned_round_have_the_interval_turned_round(
    means: list[float], confidence: float
) -> None:
    counts = [7] * len(means)
    one = mean_of_samples(means, counts=counts, confidence=confidence)
    two = mean_of_samples([1 - each for each in means], counts=counts, confidence=confidence)
    assert (two.low, two.high) == pytest.approx((1 - one.high, 1 - one.low), abs=1e-9)  # type: ignore[operator]


@settings(max_examples=50)
@given(right=st.lists(st.integers(0, 20), min_size=2, max_size=8), limit=st.floats(0.05, 0.95))
def test_the_p_value_is_where_the_interval_begins_to_reach_the_limit(
    right: list[int], limit: float
) -> None:
    means, counts = [each / 20 for each in right], [20] * len(right)
    p = p_over_samples(means, limit, counts=counts)
    assert p is not None
    for level in (0.01, 0.05, 0.2):
        low = mean_of_samples(means, counts=counts, confidence=1 - 2 * level).low
        if abs(p - level) > 1e-4:
            assert (p < level) == (low is not None and low > limit)


def test_samples_that_are_all_right_can_pass_and_say_how_many_it_takes() -> None:
    p = p_over_samples([1.0] * 5, 0.9, counts=[20] * 5)
    assert p is not None
    edits = 100 * (t.isf(p, 99) / t.isf(p, 4)) ** 2  # effective, by Korn and Graubard
    assert p ** (1 / edits) == pytest.approx(0.9, abs=1e-4)
    needs = needed_samples([1.0] * 3, 0.9, level=0.05, counts=[20] * 3)
    assert needs == Foreseen(count=4)
    assert (p_over_samples([1.0] * 4, 0.9, counts=[20] * 4) or 1) <= 0.05


def test_as_many_samples_as_needed_pass_four_times_in_five() -> None:
    means = [0.1, 0.5, 0.3, 0.7, -0.1]
    needs = needed_samples(means, 0.0, level=0.05)
    assert needs is not None
    generator = np.random.default_rng(1)
    passed = [
        (p_over_samples(generator.normal(0.3, stdev(means), size=needs.count).tolist(), 0.0) or 1)
        <= 0.05
        for _ in range(RUNS)
    ]
    assert np.mean(passed) == pytest.approx(0.8, abs=0.08)


# Simulations; the large ones are in benchmarks/simulations/samples.py


def test_seeds_of_one_set_show_differences_that_sets_do_not_have() -> None:
    generator = np.random.default_rng(1)
    before = np.mean([seeds_of_one_set(generator, 0.1, normal) for _ in range(RUNS)])
    assert before > 0.3  # that is why sets are drawn
    for draw in (normal, of_sizes):
        for samples in (5, 20):
            after = [sets_of_edits(generator, samples, 0.1, draw) for _ in range(RUNS // 2)]
            assert np.mean(after) <= MOST_PASSED + 0.02


def test_a_difference_of_a_standard_deviation_is_found() -> None:
    generator = np.random.default_rng(2)
    power = [sets_of_edits(generator, 10, 0.1, normal, 1.0) for _ in range(RUNS)]
    assert np.mean(power) > 0.8


@pytest.mark.parametrize(("samples", "widest"), [(5, 0.18), (10, 0.1), (20, 0.065)])
def test_intervals_hold_where_the_edits_of_a_chain_are_alike(samples: int, widest: float) -> None:
    found = coverage(samples)
    assert found.share >= LEAST_COVERED
    assert found.width < widest


def test_one_chain_does_not_hold_what_it_shows_of_others() -> None:
    generator = np.random.default_rng(4)
    shares = [shares_of_sets(generator, 1, 100, 0.9, 0.03)[0] for _ in range(RUNS)]
    assert held(0.9, [wilson(each, 100) for each in shares]).share < 0.75


def coverage(samples: int) -> Held:
    generator = np.random.default_rng(samples)
    sets = [shares_of_sets(generator, samples, 100, 0.9, 0.03) for _ in range(RUNS)]
    return held(0.9, [ends(each, 100) for each in sets])

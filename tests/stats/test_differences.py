from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from pytest_eac.stats.differences import difference, needed
from pytest_eac.stats.intervals import wilson
from pytest_eac.stats.means import mean_interval, p_above
from pytest_eac.stats.power import needed_above, needed_signs

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = 400
# What chance alone leaves of so many runs, once in a thousand times.
MOST_REJECTED = int(binom.ppf(0.999, RUNS, 0.05))
LEAST_COVERED = int(binom.ppf(0.001, RUNS, 0.95))

VERDICTS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=25)


@given(verdicts=VERDICTS)
def test_right_and_wrong_are_tested_by_mcnemar_and_counted(
    verdicts: list[tuple[bool, bool]],
) -> None:
    one, two = ([float(each[side]) for each in verdicts] for side in (0, 1))
    found = difference(one, two)
    gained = sum(a and not b for a, b in verdicts)
    lost = sum(b and not a for a, b in verdicts)
    assert (found.gained, found.lost) == (gained, lost)
    assert found.tests == {"McNemar": pytest.approx(binom.sf(gained - 1, gained + lost, 0.5))}
    assert found.mean.value == pytest.approx((gained - lost) / len(verdicts))


@given(gaps=st.lists(st.integers(-40, 40), min_size=2, max_size=20))
def test_numbers_without_a_range_are_tested_by_their_signs(gaps: list[int]) -> None:
    found = difference([gap + 0.5 for gap in gaps], [0.5] * len(gaps), shares=False)
    above, below = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
    assert found.tests == {"sign": pytest.approx(binom.sf(above - 1, above + below, 0.5))}
    assert found.gained is None


@given(rows=st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.25, 0.5])), min_size=1))
@pytest.mark.parametrize("by", [0.0, 0.1, -0.2])
def test_shares_are_tested_by_differences_of_minus_1_or_more(
    by: float, rows: list[tuple[float, float]]
) -> None:
    one, two = ([row[side] for row in rows] for side in (0, 1))
    found = difference(one, two, by=by)
    gaps = [a - b for a, b in rows]
    assert found.tests == {"bounded mean": pytest.approx(p_above(gaps, by, low=-1.0))}
    assert (found.mean.low, found.mean.high) == pytest.approx(mean_interval(gaps, low=-1.0))


def test_the_same_pairs_give_the_same_numbers() -> None:
    one, two = np.random.default_rng(5).random((2, 40))
    assert difference(one.tolist(), two.tolist()) == difference(one.tolist(), two.tolist())


@given(verdicts=VERDICTS)
def test_the_interval_of_a_difference_of_shares_stays_between_minus_1_and_1(
    verdicts: list[tuple[bool, bool]],
) -> None:
    one, two = ([float(each[side]) for each in verdicts] for side in (0, 1))
    found = difference(one, two).mean
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low <= found.value <= found.high <= 1


def test_few_scores_far_apart_leave_no_range_that_cannot_be() -> None:
    found = difference([1.0, 1.0, 0.9], [0.0, 0.4, 0.1]).mean
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.high < 1
    plain = difference([1.0, 1.0, 0.9], [0.0, 0.4, 0.1], shares=False).mean  # Student's t
    assert plain.high is not None
    assert plain.high > 1


def test_right_and_wrong_that_never_differ_still_leave_doubt() -> None:
    found = difference([1.0, 0.0, 1.0] * 4, [1.0, 0.0, 1.0] * 4).mean
    assert found.low is not None
    assert found.high is not None
    assert found.high == pytest.approx(-found.low)
    assert 0.1 < found.high < 0.4


@pytest.mark.parametrize("equal", [[1.0, 0.0, 1.0], [0.25, 0.5, 0.5]])
def test_equal_columns_are_no_reason_to_reject(equal: list[float]) -> None:
    assert set(difference(equal, equal).tests.values()) == {1.0}
    assert needed(equal, equal, level=0.05) is None


def test_mcnemar_rejects_no_more_often_than_its_level() -> None:
    """Exact over all counts: so many edits differ, and either way is as likely."""
    for changed in range(1, 40, 3):
        sure = sum(
            binom.pmf(gained, changed, 0.5)
            for gained in range(changed + 1)
            if difference(
                [1.0] * gained + [0.0] * (changed - gained),
                [0.0] * gained + [1.0] * (changed - gained),
            ).p
            <= 0.05
        )
        assert sure <= 0.05


@pytest.mark.parametrize("n", [8, 40])
def test_shares_and_signs_reject_no_more_often_than_their_level_and_intervals_cover(
    n: int,
) -> None:
    generator = np.random.default_rng(n)
    columns = generator.beta(2, 1, (RUNS, 2, n))  # two methods that are the same
    found = [difference(one.tolist(), two.tolist()) for one, two in columns]
    assert sum(each.p <= 0.05 for each in found) <= MOST_REJECTED
    signs = [
        difference(one.tolist(), two.tolist(), shares=False, confidence=0.5).p
        for one, two in columns[:, :, :9]  # below ten, so that nothing is resampled
    ]
    assert 0 < sum(p <= 0.05 for p in signs) <= MOST_REJECTED
    covered = sum((each.mean.low or 0) <= 0 <= (each.mean.high or 0) for each in found)
    assert covered >= LEAST_COVERED


@pytest.mark.parametrize("n", [8, 20])
def test_a_method_that_is_mostly_a_little_better_and_rarely_collapses_is_not_found_better(
    n: int,
) -> None:
    """Its mean is the same. Flipped signs reject .43 of such samples at n = 8."""
    drawn = np.random.default_rng(n).choice([0.1, -0.9], (RUNS, n), p=[0.9, 0.1])
    found = 0
    for row, times in counted(drawn):
        found += times * (difference((0.9 + np.minimum(row, 0.1)).tolist(), [0.9] * n).p <= 0.05)
    assert found <= MOST_REJECTED


def counted(rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Iterator[tuple[Any, int]]:
    """Each kind of row and how often it came: tests of counts do not see the order in a row."""
    kinds, times = np.unique(np.sort(rows, axis=1), axis=0, return_counts=True)
    return zip(kinds, times.tolist(), strict=True)


@pytest.mark.parametrize("by", [-0.1, 0.1])
def test_a_least_difference_that_is_just_not_there_is_seldom_found(by: float) -> None:
    generator = np.random.default_rng(2)
    changed = generator.choice(
        [1.0, 0.0, -1.0], p=[0.1 + by / 2, 0.8, 0.1 - by / 2], size=(RUNS, 50)
    )
    taken = 0
    for row, times in counted(changed):
        one, two = (row >= 0).astype(float), (row <= 0).astype(float)
        taken += times * (difference(one.tolist(), two.tolist(), by=by).p <= 0.05)
    assert taken <= MOST_REJECTED


def test_hardly_any_loss_is_no_worse_by_more_than_a_little() -> None:
    one, two = [1.0] * 99 + [0.0], [1.0] * 100
    assert difference(one, two).p > 0.9
    assert difference(one, two, by=-0.05).p == pytest.approx(binom.cdf(1, 100, 0.05))
    assert needed(one, two, level=0.05, by=-0.05) is not None


def test_the_power_of_each_test_grows_with_the_number_of_pairs() -> None:
    generator = np.random.default_rng(1)
    taken: dict[str, list[int]] = {"bounded mean": [], "sign": [], "McNemar": []}
    for n in (9, 40, 160):
        two = generator.uniform(0, 0.6, (60, n))
        one = two + generator.uniform(-0.2, 0.4, (60, n)).clip(0, 1)
        binary = [(each > 0.4).astype(float) for each in (one, two)]
        found = Counter[str]()
        for test, (first, second) in {
            "bounded mean": (one, two),
            "sign": (one, two),
            "McNemar": binary,
        }.items():
            for a, b in zip(first.tolist(), second.tolist(), strict=True):
                if test == "sign":
                    gaps = np.subtract(a, b)
                    p = binomtest(int((gaps > 0).sum()), n, alternative="greater").pvalue
                else:
                    p = difference(a, b).tests[test]
                found[test] += bool(p <= 0.05)
        for test, counts in taken.items():
            counts.append(found[test])
    for powers in taken.values():
        assert powers == sorted(powers)
        assert powers[-1] > powers[0] + 0.3 * 60


def test_so_many_pairs_as_are_needed_depend_on_the_test() -> None:
    gaps = [0.4, 0.3, 0.1, -0.1] * 10
    two = [0.5] * 40
    one = [0.5 + gap for gap in gaps]
    assert needed(one, two, level=0.05) == needed_above(gaps, 0.0, level=0.05, low=-1.0)
    assert needed(one, two, level=0.05, shares=False) == needed_signs(30, 10, 0, level=0.05)
    assert needed(one, two, level=0.05, by=0.3, shares=False) is None


@pytest.mark.parametrize("n", [10, 30, 100])
def test_wilsons_interval_covers_at_its_level_over_all_shares(n: int) -> None:
    """Exact, without a draw: for one share it is above or below its level, on average at it."""
    ends = [wilson(hits / n, n) for hits in range(n + 1)]
    shares = np.linspace(0.005, 0.995, 199)
    chances = binom.pmf(np.arange(n + 1)[:, None], n, shares)
    inside = np.array([[low <= share <= high for share in shares] for low, high in ends])
    assert (chances * inside).sum(axis=0).mean() == pytest.approx(0.95, abs=0.01)

from __future__ import annotations

from itertools import product
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from pytest_eac.stats import differences, paired
from pytest_eac.stats.differences import difference, needed
from pytest_eac.stats.foreseen import Foreseen
from pytest_eac.stats.intervals import wilson

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = 400
# What chance alone leaves of so many runs, once in a thousand times.
MOST_REJECTED = int(binom.ppf(0.999, RUNS, 0.05))
LEAST_COVERED = int(binom.ppf(0.001, RUNS, 0.95))

VERDICTS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=25)


def flipped_by_hand(gaps: list[float]) -> float:
    """All ways to change signs, one by one: how many have a mean at least as large?"""
    ways = [
        fmean(sign * gap for sign, gap in zip(signs, gaps, strict=True))
        for signs in product((1, -1), repeat=len(gaps))
    ]
    return sum(way >= fmean(gaps) - 1e-12 for way in ways) / len(ways)


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


@settings(max_examples=25)
@given(gaps=st.lists(st.integers(-40, 40), min_size=2, max_size=9))
def test_other_numbers_are_tested_by_every_change_of_signs(gaps: list[int]) -> None:
    found = difference([gap + 0.5 for gap in gaps], [0.5] * len(gaps), shares=False)
    assert found.p == pytest.approx(flipped_by_hand([float(gap) for gap in gaps]))
    assert list(found.tests) == ["sign flips"]
    assert found.gained is None


def test_draws_of_signs_are_near_to_all_of_them() -> None:
    generator = np.random.default_rng(4)
    gaps = generator.normal(0.3, 1, 16)
    assert difference(gaps.tolist(), [0.0] * 16, shares=False).p == pytest.approx(
        flipped_by_hand(gaps.tolist()), abs=0.02
    )


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
    assert 0 < found.high < 1  # Student's t on the plain scale ends at 1.37
    plain = difference([1.0, 1.0, 0.9], [0.0, 0.4, 0.1], shares=False).mean
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


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of p-values alone: the interval beside them does not matter."""
    monkeypatch.setattr(paired, "_RESAMPLES", 9)
    monkeypatch.setattr(differences, "_FLIPS", 599)


@pytest.mark.usefixtures("few_resamples")
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


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer draws: what is rejected and covered hardly depends on how many."""
    monkeypatch.setattr(differences, "_FLIPS", 999)
    monkeypatch.setattr(paired, "_RESAMPLES", 699)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("n", [8, 40])
def test_scores_in_between_are_rejected_no_more_often_than_the_level_and_intervals_cover(
    n: int,
) -> None:
    generator = np.random.default_rng(n)
    columns = generator.beta(2, 1, (RUNS, 2, n))  # two methods that are the same
    found = [difference(one.tolist(), two.tolist()) for one, two in columns]
    assert {name for each in found for name in each.tests} == {"mean of differences"}
    assert sum(each.p <= 0.05 for each in found) <= MOST_REJECTED
    covered = sum(
        each.mean.low <= 0 <= each.mean.high
        for each in found
        if each.mean.low is not None and each.mean.high is not None
    )
    assert covered >= LEAST_COVERED


@pytest.mark.usefixtures("quick")
def test_signs_of_seeds_are_rejected_no_more_often_than_their_level() -> None:
    generator = np.random.default_rng(3)
    rows = generator.normal(0, 1, (RUNS, 6))
    taken = sum(difference(row.tolist(), [0.0] * 6, shares=False).p <= 0.05 for row in rows)
    assert 0 < taken <= MOST_REJECTED


def counted(rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Iterator[tuple[Any, int]]:
    """Each kind of row and how often it came: tests of counts do not see the order in a row."""
    kinds, times = np.unique(np.sort(rows, axis=1), axis=0, return_counts=True)
    return zip(kinds, times.tolist(), strict=True)


@pytest.mark.usefixtures("few_resamples")
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
    even = difference([1.0, 1.0, 0.0, *one], [0.0, 1.0, 1.0, *two], by=-0.05).p
    assert even < difference([1.0, 0.0, *one], [1.0, 1.0, *two], by=-0.05).p, "gains count"
    assert needed(one, two, level=0.05, by=-0.05) is not None


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize(
    ("name", "shares", "binary"),
    [
        ("sign flips", False, False),
        ("mean of differences", True, False),
        ("McNemar", True, True),
    ],
)
def test_the_power_of_each_test_grows_with_the_number_of_pairs(
    name: str, shares: bool, binary: bool
) -> None:
    generator = np.random.default_rng(1)
    powers = []
    for n in (10, 40, 160):
        two = generator.random((60, n))
        one = np.clip(two + generator.normal(0.12, 0.3, (60, n)), 0, 1)
        columns = [(each > 0.5).astype(float) if binary else each for each in (one, two)]
        pairs = zip(*(column.tolist() for column in columns), strict=True)
        powers.append(sum(difference(*pair, shares=shares).tests[name] <= 0.05 for pair in pairs))
    assert powers == sorted(powers)
    assert powers[-1] > powers[0] + 0.3 * 60


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("gained", [0.3, 0.22])
def test_with_so_many_pairs_as_are_needed_mcnemars_test_rejects_as_often_as_is_said(
    gained: float,
) -> None:
    generator = np.random.default_rng(9)
    chances = [gained, 0.9 - gained, 0.1]
    said, real = [], []
    for _ in range(60):
        pilot = generator.choice([1.0, 0.0, -1.0], p=chances, size=40)
        one, two = ((pilot > 0).astype(float), (pilot < 0).astype(float))
        found = needed(one.tolist(), two.tolist(), level=0.05)
        if found is None or found.chance is None:
            continue
        rows = generator.multinomial(found.count, chances, 50)
        said.append(found.chance)
        real.append(np.mean(binom.sf(rows[:, 0] - 1, rows[:, 0] + rows[:, 2], 0.5) <= 0.05))
    assert np.mean(said) - 0.12 < np.mean(real)


def test_signs_alone_ask_for_some_pairs_however_clear_the_difference() -> None:
    found = needed([1.0, 1.0], [0.9, 0.9], level=0.05, shares=False)
    assert found == Foreseen(count=5)  # 2 ** -5 < 0.05 < 2 ** -4


@pytest.mark.parametrize("n", [10, 30, 100])
def test_wilsons_interval_covers_at_its_level_over_all_shares(n: int) -> None:
    """Exact, without a draw: for one share it is above or below its level, on average at it."""
    ends = [wilson(hits / n, n) for hits in range(n + 1)]
    shares = np.linspace(0.005, 0.995, 199)
    chances = binom.pmf(np.arange(n + 1)[:, None], n, shares)
    inside = np.array([[low <= share <= high for share in shares] for low, high in ends])
    assert (chances * inside).sum(axis=0).mean() == pytest.approx(0.95, abs=0.01)

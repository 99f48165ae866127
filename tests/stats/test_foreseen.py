"""How many items it would take: the words, the choice among counts, and McNemar's number."""

from __future__ import annotations

from statistics import stdev

import numpy as np
import pytest
from scipy.stats import binom, norm, t

from pytest_eac.stats.differences import needed
from pytest_eac.stats.foreseen import Foreseen, first_that_passes, most_of
from pytest_eac.stats.samples import needed_samples


def pairs(gained: int, lost: int, n: int) -> tuple[list[float], list[float]]:
    """Right or wrong of two methods, so many items gained and lost."""
    alike = n - gained - lost
    return [1.0] * gained + [0.0] * lost + [1.0] * alike, [0.0] * gained + [1.0] * (n - gained)


def chance(gained: int, lost: int, n: int, *, count: int, level: float) -> float:
    """How often ``count`` new pairs pass McNemar's test, simulated pair by pair.

    The true shares of gained and lost pairs are drawn from what these pairs leave open.
    """
    generator = np.random.default_rng(7)
    shares = generator.dirichlet([gained + 0.5, lost + 0.5, n - gained - lost + 0.5], 20_000)
    up, down, _ = generator.multinomial(count, shares).T
    return float((binom.sf(up - 1, up + down, 0.5) <= level).mean())


@pytest.mark.parametrize("level", [0.05, 0.005])
@pytest.mark.parametrize(("gained", "lost", "n"), [(14, 1, 40), (30, 10, 60), (6, 0, 9)])
def test_so_many_pairs_pass_mcnemars_test_with_the_stated_chance_and_fewer_do_not(
    gained: int, lost: int, n: int, level: float
) -> None:
    found = needed(*pairs(gained, lost, n), level=level)
    assert found is not None
    assert found.chance is not None
    assert chance(gained, lost, n, count=found.count, level=level) == pytest.approx(
        found.chance, abs=0.09
    )
    assert chance(gained, lost, n, count=found.count // 2, level=level) < found.chance - 0.1
    assert found == needed(*pairs(gained, lost, n), level=level)


def test_as_many_lost_as_gained_never_decide() -> None:
    assert needed(*pairs(5, 5, 20), level=0.05) is None
    assert needed(*pairs(5, 6, 20), level=0.05) is None
    assert needed(*pairs(6, 0, 20), level=0.05) is not None


def test_a_chance_that_falls_again_has_not_been_reached() -> None:
    """Exact tests have chances that go up and down with the count."""
    counts = np.array([5, 6, 7, 8, 9])
    reached = first_that_passes(counts, np.array([0.1, 0.85, 0.7, 0.8, 0.9]))
    assert reached == Foreseen(count=8, chance=0.8)
    assert first_that_passes(counts, np.array([0.9] * 5)) == Foreseen(count=5, chance=0.8)


def test_where_the_better_chance_is_out_of_reach_even_chances_are_looked_for() -> None:
    counts = np.array([5, 6, 7])
    assert first_that_passes(counts, np.array([0.4, 0.5, 0.6])) == Foreseen(count=6, chance=0.5)
    assert first_that_passes(counts, np.array([0.4, 0.4, 0.49])) is None


def test_what_satisfies_all_claims_is_the_most_and_an_impossible_one_has_none() -> None:
    few, many = Foreseen(count=9, chance=0.5), Foreseen(count=70, chance=0.8)
    assert most_of([few, many, few]) == many
    assert most_of([few, None, many]) is None


def test_a_number_is_written_with_its_chance_where_that_is_known() -> None:
    assert Foreseen(count=1200).text("pairs") == "needs about 1,200 pairs"
    words = "needs about 30 edits to pass with a chance of 0.5"
    assert Foreseen(count=30, chance=0.5).text("edits") == words


def test_scores_in_between_on_one_side_are_no_right_or_wrong() -> None:
    one, two = [0.9, 0.8, 0.7, 0.9], [0.0, 1.0, 0.0, 0.0]
    found = needed(one, two, level=0.05)
    assert found is not None
    assert found != needed([1.0] * 4, two, level=0.05)
    other_way = needed([1 - each for each in two], [1 - each for each in one], level=0.05)
    assert other_way == found


def test_as_many_numbers_as_needed_pass_by_their_signs_four_times_in_five() -> None:
    """Flips of signs have the variance ``sum(gap^2)``: near enough to normal from 40 pairs on."""
    generator = np.random.default_rng(3)
    for mean, spread in ((0.5, 1.3), (2.0, 6.0)):
        pilot = generator.normal(size=200)
        pilot = mean + spread * (pilot - pilot.mean()) / pilot.std()
        found = needed(pilot.tolist(), [0.0] * 200, level=0.05, shares=False)
        assert found is not None
        drawn = generator.normal(mean, spread, (20_000, found.count))
        statistic = drawn.sum(axis=1) / np.sqrt((drawn**2).sum(axis=1))
        assert (statistic >= norm.isf(0.05)).mean() == pytest.approx(0.8, abs=0.03)
        moved = needed((pilot + 3.0).tolist(), [0.0] * 200, level=0.05, by=3.0, shares=False)
        assert moved == found
    assert needed([1.0, -1.0], [0.0, 0.0], level=0.05, shares=False) is None


def test_pairs_that_do_not_differ_have_no_sign_and_more_of_them_are_needed() -> None:
    """Four of five pairs with a sign each: 4 signs make 1/16, below 0.1, 3 are not enough."""
    found = needed([0.1] * 4 + [0.0], [0.0] * 5, level=0.1, shares=False)
    assert found == Foreseen(count=5)


def t_power(shift: float, samples: int, *, level: float) -> float:
    """How often Student's t of normal means passes, from 200,000 of them."""
    generator = np.random.default_rng(samples)
    root = np.sqrt(generator.chisquare(samples - 1, 200_000) / (samples - 1))
    found = (generator.normal(size=200_000) + shift * samples**0.5) / root
    return float((found >= t.isf(level, samples - 1)).mean())


@pytest.mark.parametrize("gap", [0.13, 0.2, 0.3, 0.35, 0.5, 0.9])
def test_the_samples_that_are_needed_are_the_fewest_that_mostly_pass(gap: float) -> None:
    means = [1.0, 1.2, 1.5, 0.9, 0.4]
    found = needed_samples(means, 1.0 - gap, level=0.05)
    assert found is not None
    shift = gap / stdev(means)
    assert t_power(shift, found.count, level=0.05) > 0.8 - 0.004
    assert found.count == 2 or t_power(shift, found.count - 1, level=0.05) < 0.8 + 0.004


def test_two_samples_foresee_and_means_at_the_limit_or_alike_do_not() -> None:
    assert needed_samples([0.2, 0.3], 0.1, level=0.05) is not None
    assert needed_samples([0.2], 0.1, level=0.05) is None
    assert needed_samples([0.2, 0.3], 0.25, level=0.05) is None
    assert needed_samples([0.2, 0.3], 0.5, level=0.05) is None
    assert needed_samples([0.1 + 0.2, 0.3], 0.1, level=0.05) is None  # but for rounding, alike


def test_shares_wait_until_the_exact_test_of_all_edits_can_pass() -> None:
    """Samples cannot tell more than their edits would, if these were independent."""
    means, counts = [0.95, 0.951, 0.949], [20] * 3
    found = needed_samples(means, 0.9, level=0.05, counts=counts)
    means_alone = needed_samples(means, 0.9, level=0.05)
    assert found is not None
    assert means_alone is not None
    assert found.count > means_alone.count
    edits = found.count * 20
    assert binom.sf(round(0.95 * edits) - 1, edits, 0.9) <= 0.05

"""How many items it would take: the words, the choice among counts, and McNemar's number."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from pytest_eac.stats.differences import needed
from pytest_eac.stats.foreseen import Foreseen, first_that_passes, most_of


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

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import betabinom, binom

from pytest_eac.stats.means import p_above
from pytest_eac.stats.power import (
    chance_of_no_more_loss,
    least_above,
    needed_above,
    needed_signs,
)


def right(hits: int, n: int) -> list[float]:
    return [1.0] * hits + [0.0] * (n - hits)


def passing(count: int, share: float, limit: float) -> float:
    """The chance that so many edits with this true share pass at 95 %."""
    return float(binom.sf(binom.isf(0.05, count, limit), count, share))


def test_the_number_needed_is_the_first_from_which_the_chance_is_there() -> None:
    """The twin sums over true shares: beta-binomial, of 100 edits of which 98 were right."""
    found = needed_above(right(98, 100), 0.9, level=0.05)
    assert found is not None

    def chance(count: int) -> float:
        least = next(k for k in range(count + 1) if binom.sf(k - 1, count, 0.9) <= 0.05)
        return float(betabinom.pmf(range(least, count + 1), count, 99, 3).sum())

    assert chance(found - 1) < 0.8
    assert all(chance(count) >= 0.8 for count in range(found, min(found + 40, 200)))


@pytest.mark.parametrize(
    ("limit", "true", "n"), [(0.9, 0.95, 20), (0.9, 0.98, 20), (0.8, 0.9, 20), (0.5, 0.6, 50)]
)
def test_with_so_many_edits_a_check_passes_with_the_stated_chance(
    limit: float, true: float, n: int
) -> None:
    """Over all undecided pilots that name a number. The estimate plugged in passes .54 of the first
    instead of .8."""
    told = passed = 0.0
    for hits in range(n + 1):
        if p_above(right(hits, n), limit) <= 0.05:
            continue  # decided
        count = needed_above(right(hits, n), limit, level=0.05)
        if count is not None:
            told += binom.pmf(hits, n, true)
            passed += binom.pmf(hits, n, true) * passing(count, true, limit)
    assert told > 0.2
    assert passed / told >= 0.8


def test_scores_in_between_pass_with_the_stated_chance_too() -> None:
    generator = np.random.default_rng(3)
    told, passed = 0, 0.0
    for _ in range(40):
        pilot = generator.beta(4, 1, 20)
        count = needed_above(pilot.tolist(), 0.7, level=0.05)
        if p_above(pilot.tolist(), 0.7) > 0.05 and count is not None and count < 500:
            rows = generator.beta(4, 1, (20, count))
            told += 1
            passed += sum(p_above(row.tolist(), 0.7) <= 0.05 for row in rows) / 20
    assert told >= 5
    assert passed / told >= 0.75


def test_few_scores_that_are_all_right_need_more_than_the_least() -> None:
    assert least_above(1.0, 0.9, level=0.05) == 29  # 0.9 ** 29 < 0.05 < 0.9 ** 28
    found = needed_above(right(20, 20), 0.9, level=0.05)
    assert found is not None
    assert 300 < found < 600
    assert needed_above(right(200, 200), 0.9, level=0.05) == 29


def test_the_least_of_differences_counts_on_one_that_is_as_bad_as_can_be() -> None:
    assert least_above(0.1, 0.0, level=0.05, low=-1.0) == 32  # 1.1 ** -32 < 0.05
    assert p_above([0.1] * 32, 0.0, low=-1.0) <= 0.05 < p_above([0.1] * 31, 0.0, low=-1.0)
    assert least_above(0.0, 0.0, level=0.05, low=-1.0) is None


def test_a_stricter_level_takes_more() -> None:
    scores = right(190, 200)
    counts = [needed_above(scores, 0.9, level=level) or 0 for level in (0.05, 0.025, 0.01)]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("scores", [right(5, 10), right(19, 20), [0.5, 0.9, 0.9, 0.9]])
def test_where_the_scores_leave_too_much_to_a_mean_below_the_limit_there_is_no_number(
    scores: list[float],
) -> None:
    assert needed_above(scores, 0.9, level=0.05) is None


def test_scores_that_vary_less_take_fewer() -> None:
    steady = needed_above([0.94, 0.96] * 50, 0.9, level=0.05)
    wild = needed_above(right(190, 200), 0.9, level=0.05)
    assert steady is not None
    assert wild is not None
    assert steady < wild


def test_pairs_of_right_and_wrong_reject_with_the_stated_chance() -> None:
    generator = np.random.default_rng(9)
    told, passed = 0, 0.0
    for _ in range(100):
        gained, lost, same = generator.multinomial(40, [0.2, 0.1, 0.7]).tolist()
        if binom.sf(gained - 1, gained + lost, 0.5) <= 0.05:
            continue
        count = needed_signs(gained, lost, same, level=0.05)
        if count is None:
            continue
        more, fewer, _ = generator.multinomial(count, [0.2, 0.1, 0.7], 200).T
        told += 1
        passed += float((binom.sf(more - 1, more + fewer, 0.5) <= 0.05).mean())
    assert told > 20
    assert passed / told >= 0.8


def test_signs_alone_ask_for_some_pairs_however_clear_the_difference() -> None:
    assert needed_signs(2000, 0, 0, level=0.05) == 5  # 2 ** -5 < 0.05 < 2 ** -4
    assert needed_signs(3, 3, 10, level=0.05) is None


@pytest.mark.parametrize("n", [50, 99, 100, 400])
@pytest.mark.parametrize("lost", [0.0, 0.01, 0.03])
def test_the_chance_to_rule_out_a_loss_is_that_of_the_test(n: int, lost: float) -> None:
    """Summed over how many items are lost, each tested."""
    expected = sum(
        binom.pmf(gone, n, lost)
        for gone in range(min(n, 30))
        if p_above([0.0] * (n - gone) + [-1.0] * gone, -0.03, low=-1.0) <= 0.05
    )
    found = chance_of_no_more_loss(n, 0.03, level=0.05, lost=lost)
    assert found == pytest.approx(expected)
    assert found <= 0.05 or lost < 0.03

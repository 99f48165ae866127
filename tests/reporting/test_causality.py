from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_eac import deviation_and_abilities
from pytest_eac.records.run import Chain, Record
from pytest_eac.reporting.causality import causality_lines
from pytest_eac.stats.partial_correlation import partial_correlation, partial_rank_correlation
from tests.judging.hand_made_chains import ABILITY, able, chain, moved

AT = (1, 2, 4)


def chains(methods: int, seeds: int = 1, *, signal: bool = True) -> tuple[Chain, ...]:
    """Chains that lose the more the further they move, with noise, and all lose with time."""
    rng = np.random.default_rng(0)
    found = []
    for method in range(methods):
        for seed in range(seeds):
            points = []
            for at in AT:
                far = 0.05 * at * (1 + method + 0.1 * seed) + 0.02 * rng.normal()
                share = float(np.exp(-far - 0.1 * at) + 0.02 * rng.normal())
                ability = replace(ABILITY, kept=share, signal=signal)
                points.append(replace(able(at, nli=ability), deviation=moved(far)))
            made = chain(*points, method=f"m{method}", seed=seed)
            found.append(replace(made, abilities={"nli": ABILITY}))
    return tuple(found)


def record(*mine: Chain) -> Record:
    return Record(environment={}, chains=mine)


def test_chains_that_move_further_and_keep_less_correlate_below_zero() -> None:
    mine = chains(9)
    (found,) = deviation_and_abilities(record(*mine))
    points = [point for each in mine for point in each.checkpoints]
    columns = (
        [point.deviation.l1_relative for point in points],
        [float(point.abilities["nli"].kept or 0) for point in points],
        [point.at for point in points],
    )
    assert found.ranks.value == partial_rank_correlation(*columns)
    assert found.numbers.value == partial_correlation(*columns)
    assert found.ranks.high is not None
    assert found.ranks.high < 0
    assert (found.chains, found.checkpoints, found.points) == (9, 3, 27)


def test_seeds_of_a_method_are_no_independent_witnesses() -> None:
    (several,) = deviation_and_abilities(record(*chains(4, seeds=3)))
    assert (several.chains, several.groups, several.group) == (12, 4, "method")
    assert several.ranks.low is None
    (alone,) = deviation_and_abilities(record(*chains(1, seeds=12)))
    assert (alone.groups, alone.group) == (12, "seed")
    assert alone.ranks.low is not None


def with_controls(mine: tuple[Chain, ...]) -> tuple[Chain, ...]:
    """Beside each chain a control, which moves as far and loses a little less."""
    found = []
    for place, each in enumerate(mine):
        options = {"value": {"norm": place}, "control": None}
        points = tuple(
            replace(
                point,
                abilities={"nli": replace(ABILITY, kept=0.01 + (point.abilities["nli"].kept or 0))},
            )
            for point in each.checkpoints
        )
        found.append(replace(each, hyperparameters=options))
        found.append(
            replace(
                each,
                method=f"{each.method}-random",
                hyperparameters={**options, "control": "random"},
                checkpoints=points,
            )
        )
    return tuple(found)


def test_a_control_is_no_witness_beside_the_method_that_it_mirrors() -> None:
    """Eight methods of which four are controls had an interval, as if all were independent."""
    (few,) = deviation_and_abilities(record(*with_controls(chains(4))))
    assert (few.chains, few.groups, few.group) == (8, 4, "pair")
    assert (few.ranks.low, few.ranks.high) == (None, None)
    assert causality_lines(with_controls(chains(4)))[1].endswith("4 pairs, 8 chains x 3")
    (many,) = deviation_and_abilities(record(*with_controls(chains(9))))
    assert (many.groups, many.group) == (9, "pair")
    (alone,) = deviation_and_abilities(record(*chains(9)))
    assert None not in (many.ranks.low, many.ranks.high, alone.ranks.low, alone.ranks.high)
    widths = [(each.ranks.high or 0) - (each.ranks.low or 0) for each in (many, alone)]
    assert widths[0] > 0.8 * widths[1]  # twice the chains, but hardly more to go by


def test_controls_without_their_method_are_witnesses_together() -> None:
    left = [each for each in with_controls(chains(4)) if each.hyperparameters["control"]]
    other = [
        replace(
            each,
            method=f"{each.method}-2",
            hyperparameters={**each.hyperparameters, "control": "random-spectrum"},
        )
        for each in left
    ]
    moved_on = [replace(each, seed=1) for each in other]
    (found,) = deviation_and_abilities(record(*left, *moved_on))
    assert (found.groups, found.group) == (4, "pair")


def test_seeds_that_change_nothing_count_once() -> None:
    mine = chains(5)
    again = tuple(replace(each, seed=seed) for each in mine for seed in range(3))
    assert deviation_and_abilities(record(*again)) == deviation_and_abilities(record(*mine))


def test_the_norm_is_the_callers_choice() -> None:
    mine = chains(4)
    bent = tuple(
        replace(
            each,
            checkpoints=tuple(
                replace(
                    point, deviation=replace(point.deviation, frobenius_relative=1 / (1 + place))
                )
                for point in each.checkpoints
            ),
        )
        for place, each in enumerate(mine)
    )
    (far,) = deviation_and_abilities(record(*bent))
    (near,) = deviation_and_abilities(record(*bent), norm="frobenius")
    assert far.ranks.value < 0 < near.ranks.value


@pytest.mark.parametrize(
    "mine",
    [
        chains(3),
        chains(6, signal=False),
        tuple(replace(each, checkpoints=each.checkpoints[:2]) for each in chains(6)),
    ],
    ids=["three chains", "no signal", "two checkpoints"],
)
def test_what_cannot_be_said_is_not_said(mine: tuple[Chain, ...]) -> None:
    assert deviation_and_abilities(record(*mine)) == ()
    assert causality_lines(mine) == []


def test_specs_and_models_stay_apart() -> None:
    mine = chains(4)
    other = tuple(replace(each, spec="specs/other.eac.yaml") for each in mine)
    model = replace(mine[0].model, fingerprint="ab" * 32)
    third = tuple(replace(each, model=model) for each in mine)
    found = deviation_and_abilities(record(*mine, *other, *third))
    assert [each.chains for each in found] == [4, 4, 4]


def test_the_summary_tells_the_correlation_its_interval_and_what_it_rests_on() -> None:
    heading, line = causality_lines(chains(9))
    assert "given the number of edits" in heading
    (found,) = deviation_and_abilities(record(*chains(9)))
    assert line.split()[:2] == ["nli", f"{found.ranks.value:.2f}"]
    assert f"95% {found.ranks.low:.2f} to {found.ranks.high:.2f}" in line
    assert line.endswith("9 methods, 9 chains x 3")
    _, line = causality_lines(chains(4, seeds=2))
    assert "no interval" in line
    assert max(map(len, causality_lines(chains(99, seeds=2)))) <= 80

from dataclasses import replace

import pytest

from pytest_eac.judging.swept_values import Rule, SweptValue, choose, confirmation
from pytest_eac.records.run import Measurement
from pytest_eac.spec.option_grid import OptionValue
from pytest_eac.stats.intervals import wilson
from tests.judging.hand_made_chains import NOTHING, chain, checkpoint, writing

RULE = Rule(metric="retention", within=0.05)


def held(share: float, n: int = 20) -> Measurement:
    low, high = wilson(share, n)
    return Measurement(value=share, n=n, low=low, high=high, scores=(share,) * n, misses=())


def value(clamp: float, *ends: tuple[Measurement, float]) -> SweptValue:
    """A value of ``value.clamp`` with what is kept, and the deviation, for each seed."""
    return SweptValue(
        method="rome",
        settings=(OptionValue(option="value.clamp", value=clamp),),
        chains=tuple(
            chain(
                checkpoint(20, relative=moved, retention=kept), method=f"rome[{clamp}]", seed=seed
            )
            for seed, (kept, moved) in enumerate(ends)
        ),
    )


def test_the_least_deviation_is_chosen_of_the_values_that_keep_about_as_much_as_the_best() -> None:
    values = [
        value(1, (held(0.90), 0.1)),
        value(2, (held(0.95), 0.2)),
        value(4, (held(1.00), 0.4)),
        value(8, (held(0.96), 0.8)),
    ]
    assert choose(values, RULE) is values[1]
    assert choose(values, Rule(metric="retention", within=0.04)) is values[2]
    assert choose(values, Rule(metric="retention", within=0.1)) is values[0]
    assert choose(values, Rule(metric="efficacy", within=0.0)) is values[0]


def test_a_value_counts_by_its_mean_over_the_seeds() -> None:
    values = [
        value(1, (held(1.0), 0.3), (held(0.8), 0.1)),
        value(2, (held(1.0), 0.3), (held(0.9), 0.2)),
    ]
    assert values[0].number("retention") == pytest.approx(0.9)
    assert choose(values, RULE) is values[0]
    assert choose(values, Rule(metric="retention", within=0.01)) is values[1]


def test_values_that_edit_other_matrices_are_chosen_by_the_norm_of_their_change() -> None:
    """A relative deviation of 0.1 of many matrices may be more than one of 0.3 of a single one."""
    many, single = value(1, (held(1.0), 0.1)), value(2, (held(1.0), 0.3))
    assert choose([many, single], RULE) is many
    moved = writing(many.chains[0], "layers.3", "layers.4")
    point = moved.checkpoints[0]
    moved = replace(
        moved, checkpoints=(replace(point, deviation=replace(point.deviation, l1=5000.0)),)
    )
    many = replace(many, chains=(moved,))
    single = replace(single, chains=(writing(single.chains[0], "layers.3"),))
    assert choose([many, single], RULE) is single


def test_nothing_is_chosen_where_there_is_nothing_to_keep() -> None:
    assert choose([value(1, (NOTHING, 0.1))], RULE) is None


@pytest.mark.parametrize(
    ("on_others", "said"),
    [
        (held(1.0, 200), "confirmed: retention 0.95 on the edits"),
        (held(0.6, 200), "not confirmed: retention 0.95 on the edits"),
        (held(0.9, 20), "undecided: retention 0.95 on the edits"),
        (NOTHING, "undecided: no edit of the other half has anything"),
    ],
)
def test_a_choice_is_confirmed_by_the_whole_interval_on_the_other_edits(
    on_others: Measurement, said: str
) -> None:
    chosen, other = value(2, (held(0.95), 0.2)), value(2, (on_others, 0.2))
    text = confirmation(chosen, other, RULE)
    assert text.startswith(said)
    assert ("more edits are needed" in text) == ("0.9 on the others" in text)

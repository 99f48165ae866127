from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_eac.judging.matched_comparison import compare_at_equal, strengths
from pytest_eac.records.run import Chain, Comparison, Measurement
from pytest_eac.spec.schema.at_equal import AtEqual
from pytest_eac.spec.schema.checks import CompareCheck
from pytest_eac.stats.matched import ShareCurve, matched
from tests.judging.hand_made_chains import chain, checkpoint, writing
from tests.stats.writing import Situation, draw


def asked(direction: str = "less", **more: Any) -> CompareCheck:
    methods = {direction: "rome-eac", "than": "rome"}
    return CompareCheck.model_validate(
        {"metric": "deviation", **methods, "at_equal": "retention", **more}
    )


def measured(scores: Sequence[float | None]) -> Measurement:
    there = [each for each in scores if each is not None]
    value = sum(there) / len(there) if there else None
    return Measurement(
        value=value, n=len(there), low=None, high=None, scores=tuple(scores), misses=()
    )


def chain_of(
    method: str, scores: Sequence[float | None], amount: float, steps: Sequence[float]
) -> Chain:
    count = len(scores)
    of = chain(checkpoint(count, relative=amount, retention=measured(scores)), method=method)
    costs = [
        replace(cost, delta_norm=step**0.5) for cost, step in zip(of.per_edit, steps, strict=True)
    ]
    return replace(of, per_edit=tuple(costs))


def side(method: str, curve: ShareCurve) -> dict[str, list[Chain]]:
    """The chains of a method, a strength each."""
    found = zip(curve.scores, curve.amounts, curve.steps, strict=True)
    return {
        f"{place}": [chain_of(f"{method}[{place}]", list(scores), float(amount), list(steps))]
        for place, (scores, amount, steps) in enumerate(found)
    }


def methods(n: int = 40, *, seed: int = 1, **more: float) -> tuple[ShareCurve, ShareCurve]:
    return draw(np.random.default_rng(seed), n, Situation(), **more)


def hand_made(shares: list[float], amounts: list[float], n: int = 20) -> ShareCurve:
    scores = np.array([[float(item < round(share * n)) for item in range(n)] for share in shares])
    return ShareCurve(scores=scores, amounts=amounts, steps=[[each**2 / n] * n for each in amounts])


def judged(comparison: CompareCheck, than: ShareCurve, subject: ShareCurve) -> Comparison:
    return compare_at_equal("its-name", comparison, side("rome-eac", subject), side("rome", than))


def test_a_method_that_moves_the_weights_less_at_equal_retention_passes() -> None:
    rome, eac = methods(less=0.5)
    found, numbers = judged(asked(), rome, eac), matched(rome, eac)
    assert found.outcome == "passed"
    assert found.observed == pytest.approx(numbers.ratio)
    assert found.effect == pytest.approx((numbers.ratio or 0) - 1)
    assert (found.low, found.high) == pytest.approx(
        ((numbers.low or 0) - 1, (numbers.high or 0) - 1)
    )
    assert found.p == pytest.approx(numbers.p)
    assert (found.n, found.check) == (40, "its-name")
    assert found.required == "rome-eac < rome at equal retention with confidence 0.95"
    first, eac_line, rome_line = found.message.splitlines()
    ratio = f"{numbers.ratio:.3g}"
    assert f"at equal retention rome-eac moves the weights {ratio} times as far as rome " in first
    assert "for these edits, given these chains; required" in first
    assert eac_line.startswith("  rome-eac, retention at deviation, by value.clamp: 0: ")
    assert rome_line.startswith("  rome, retention at deviation, by value.clamp: 0: ")


def test_in_a_suite_it_gets_one_share_of_the_level() -> None:
    rome, eac = methods(less=0.5)
    sides = side("rome-eac", eac), side("rome", rome)
    alone, found = (compare_at_equal("x", asked(), *sides, suite=n) for n in (0, 10**6))
    assert alone.p is not None
    assert (alone.outcome, alone.corrected_over) == ("passed", None)
    assert (found.outcome, found.corrected_over) == ("undecided", 10**6)
    assert found.p_adjusted == pytest.approx(min(1, 10**6 * alone.p))
    assert "corrected over 1000000 checks by Holm, for these edits" in found.message
    assert (found.needs or 0) > 40


def test_one_that_only_writes_less_does_not_pass_although_it_deviates_less() -> None:
    for seed in range(5):
        rome, eac = methods(seed=seed, weaker=0.5)
        assert eac.amounts[-1] < rome.amounts[-1]
        assert judged(asked(), rome, eac).outcome != "passed"


def test_a_method_that_moves_them_more_fails() -> None:
    rome, eac = methods(less=1.5, weaker=0.5)
    found = judged(asked(), rome, eac)
    assert found.outcome == "failed"
    assert found.observed is not None
    assert found.observed > 1


def test_more_is_the_other_direction() -> None:
    rome, eac = methods(less=2.0)
    found = judged(asked("more"), rome, eac)
    assert found.outcome == "passed"
    assert found.observed == pytest.approx(1 / (matched(eac, rome).ratio or 0))
    assert found.low is not None
    assert found.high is not None
    assert found.low < (found.observed or 0) - 1 < found.high
    assert judged(asked("more"), eac, rome).outcome == "failed"


def test_a_difference_that_so_few_edits_do_not_show_is_undecided_and_says_how_many_do() -> None:
    rome, eac = methods(n=12, less=0.85, seed=3)
    found = judged(asked(), rome, eac)
    assert found.outcome == "undecided"
    assert found.needs is not None
    assert found.needs > 12
    assert f"undecided: needs about {found.needs:,} edits" in found.message


def test_few_edits_have_no_p_value() -> None:
    found = judged(asked(), *methods(n=9, less=0.3))
    assert (found.outcome, found.p, found.needs) == ("undecided", None, 10)
    assert "9 edits have retention at every strength; needs 10 or more" in found.message


def test_methods_that_reach_no_retention_in_common_are_not_compared() -> None:
    one = hand_made([0.2, 0.3, 0.4], [1.0, 2.0, 4.0])
    two = hand_made([0.4, 0.7, 0.9], [1.0, 2.0, 4.0])
    found = judged(asked(), one, two)
    assert (found.outcome, found.p) == ("undecided", None)
    assert (
        "no range of retention of 0.2 or more in common (rome-eac 0.4 to 0.9, rome 0.2 to 0.4); "
        "give at_equal values with which they have"
    ) in found.message


@pytest.mark.parametrize("shares", [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.9, 0.5, 0.2]])
def test_a_retention_that_does_not_rise_is_no_curve(shares: list[float]) -> None:
    amounts = [1.0, 2.0, 4.0]
    found = judged(asked(), hand_made([0.2, 0.5, 0.9], amounts), hand_made(shares, amounts))
    assert (found.outcome, found.p) == ("undecided", None)
    assert (
        "retention of rome-eac rises over 1 strengths only, needs 3 or more; give at_equal weaker "
        "values"
    ) in found.message


def test_curves_of_different_shapes_have_no_single_ratio() -> None:
    found = judged(asked(), *methods(n=60, steeper=4.0))
    assert (found.outcome, found.p) == ("undecided", None)
    assert "retention rises in another way with each method (p=" in found.message
    assert "so that no single ratio holds; give at_equal values" in found.message


def test_edits_that_a_strength_did_not_score_are_left_out_everywhere() -> None:
    rome, eac = methods(n=30, less=0.6)
    sides = side("rome-eac", eac), side("rome", rome)
    ((last,),) = [list(sides[1].values())[-1]]
    scores = last.checkpoints[-1].metrics["retention"].scores
    gaps = chain_of(
        last.method,
        [None if place == 3 else score for place, score in enumerate(scores)],
        last.checkpoints[-1].deviation.l1_relative,
        [cost.delta_norm**2 for cost in last.per_edit],
    )
    found = compare_at_equal("x", asked(), sides[0], {**sides[1], list(sides[1])[-1]: [gaps]})
    assert found.n == 29


def test_matrices_must_be_the_same_unless_norms_are_compared() -> None:
    rome, eac = methods(less=0.5)
    sides = [side("rome-eac", eac), side("rome", rome)]
    here, there = (
        {name: [writing(each, matrix) for each in chains] for name, chains in one.items()}
        for one, matrix in zip(sides, ("layers.3", "layers.4"), strict=True)
    )
    found = compare_at_equal("x", asked(), here, there)
    assert found.outcome == "undecided"
    assert "or compare with absolute: true" in found.message
    assert compare_at_equal("x", asked(absolute=True), here, there).outcome == "passed"


def test_the_default_strengths_are_shares_of_a_methods_own() -> None:
    own = replace(chain(checkpoint(1)), hyperparameters={"value": {"clamp": 4.0}})
    found = strengths(own, AtEqual(metric="retention"))
    assert [str(each) for each in found] == [f"value.clamp={value}" for value in (0.25, 0.5, 1, 2)]
    given = AtEqual(metric="retention", by="value.clamp", values=(1, 4, 8))
    assert [each.value for each in strengths(own, given)] == [1, 8], "4 is its own"
    assert strengths(own, AtEqual(metric="retention", by="update.weight", values=(1, 2)))

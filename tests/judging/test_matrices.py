"""Relative deviations are shares of a norm: over different matrices they are not compared."""

from __future__ import annotations

from dataclasses import replace

from pytest_eac import Record, deviation_and_abilities
from pytest_eac.judging.comparable import different_matrices
from pytest_eac.judging.compare_checks import compare
from pytest_eac.judging.growth import series_of
from pytest_eac.judging.regression import judge_regression
from pytest_eac.judging.run_diff import change_of
from pytest_eac.records.run import Norms
from pytest_eac.reporting.causality import causality_lines
from pytest_eac.reporting.run_diff import change_lines
from pytest_eac.spec.schema.checks import CompareCheck
from tests.judging.hand_made_chains import ABILITY, COST, able, chain, checkpoint, moved, writing

ONE = writing(chain(checkpoint(8, relative=0.1), method="one"), "a.weight")
THREE = writing(
    chain(checkpoint(8, relative=0.2), method="three"), "a.weight", "b.weight", "c.weight"
)
NOTHING = chain(checkpoint(8, relative=0.0), method="nothing")


def asked(**more: object) -> CompareCheck:
    methods = {"metric": "deviation", "less": "one", "than": "three"}
    return CompareCheck.model_validate(methods | more)


def test_a_comparison_over_different_matrices_is_undecided_and_names_them() -> None:
    found = compare("its-name", asked(), [ONE], [THREE])
    assert found.outcome == "undecided"
    assert found.message == (
        "its-name: undecided: the chains edit different matrices (besides a.weight): "
        "one-s0: nothing else; three-s0: b.weight, c.weight; "
        "edit the same layers, or compare with absolute: true"
    )


def test_absolute_deviations_are_compared_whatever_the_matrices() -> None:
    found = compare("its-name", asked(absolute=True), [ONE], [THREE])
    assert found.outcome == "passed"
    assert found.observed == ONE.checkpoints[-1].deviation.l1
    assert found.message.startswith("deviation (L1, absolute) after 8 edits: one-s0 100, three-s0 ")


def test_a_chain_that_changes_nothing_is_below_any_other() -> None:
    assert different_matrices({"one": ONE, "nothing": NOTHING}) is None
    assert different_matrices({"one": ONE, "again": ONE}) is None


def test_many_matrices_are_named_in_part() -> None:
    other = writing(ONE, *(f"m{index}.weight" for index in range(9)))
    assert different_matrices({"one": ONE, "other": other}) == (
        "the chains edit different matrices: one: a.weight; "
        "other: m0.weight, m1.weight, m2.weight and 6 more"
    )


def test_a_baseline_of_other_matrices_leaves_the_deviation_undecided() -> None:
    change = change_of("deviation", ONE, THREE)
    assert change is not None
    assert (change.old, change.new, change.change, change.direction) == (0.1, 0.2, None, None)
    assert "there: nothing else; here: b.weight, c.weight" in change.reason
    assert any("undecided: the chains edit" in line for line in change_lines("x", [change]))
    verdict = judge_regression(ONE, THREE, "deviation", 0.5)
    assert verdict.outcome == "undecided"
    assert "b.weight" in verdict.message


def test_deviation_and_abilities_are_not_correlated_over_different_matrices() -> None:
    mine = []
    for place in range(4):
        points = [
            replace(able(at, nli=ABILITY), deviation=moved(0.01 * at * (place + 1)))
            for at in (1, 2, 4)
        ]
        made = replace(chain(*points, method=f"m{place}"), abilities={"nli": ABILITY})
        mine.append(writing(made, "a.weight" if place else "b.weight"))
    assert deviation_and_abilities(Record(environment={}, chains=tuple(mine))) == ()
    text = " ".join(" ".join(causality_lines(mine)).split())
    assert "nli: undecided: the chains edit different matrices: m0-s0: b.weight" in text


def test_growth_is_a_share_of_one_norm_when_a_further_matrix_comes_in() -> None:
    """Two equal matrices of norm 10; the second edit changes the other one as much as the first."""
    half = Norms(l1=1.0, l1_relative=0.1, frobenius=1.0, frobenius_relative=0.1)
    both = Norms(l1=2.0, l1_relative=0.1, frobenius=1.4, frobenius_relative=0.1)
    costs = (replace(COST, deviation=half, delta_norm=1.0), replace(COST, deviation=both))
    of = replace(chain(checkpoint(2)), per_edit=costs)
    assert series_of(of, "l1").total == (0.05, 0.1)

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.spec.load import load_spec
from pytest_eac.spec.orders import arranged, read_order, show_order, taken_back
from tests.files import write
from tests.spec.spec_texts import facts, problems

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.spec.edits import Edit

CHECKS = "checks: {known: {min: 0}, efficacy: {min: 0}, deviation: {max: 1}}\n"
SEQUENCE = "sequence: {checkpoints: [1, 2]}\n"
ORDERINGS = "orderings: {spread: {efficacy: 0}, state: 0.1}\n"


@given(st.lists(st.integers(-99, 99).filter(bool), min_size=1).map(tuple))
def test_an_order_reads_back_as_it_is_written(order: tuple[int, ...]) -> None:
    assert read_order(show_order(order)) == order


@pytest.mark.parametrize("text", ["", "0", "1,,2", "1;2", "one", "1,0"])
def test_what_is_no_order_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="counted from 1, such as 3,1"):
        read_order(text)


def test_an_order_picks_repeats_and_takes_back(world: tuple[Edit, ...]) -> None:
    one, two, three = world[:3]
    assert arranged((one, two, three), (3, 1, 3)) == (three, one, three)
    back = arranged((one, two), (2, -2))[1]
    assert (back.target, back.truth) == (two.truth, two.target)
    assert taken_back(back) == two


@pytest.mark.parametrize("order", [(4,), (-4,), (1, 2, 3, 4)])
def test_an_edit_that_is_not_there_is_refused(
    world: tuple[Edit, ...], order: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="no edit 4; expected a number from 1 to 3"):
        arranged(world[:3], order)


def test_an_edit_without_a_truth_cannot_be_taken_back(world: tuple[Edit, ...]) -> None:
    with pytest.raises(ValueError, match="has no truth to put back"):
        taken_back(replace(world[0], truth=None))


def test_a_reordered_spec_is_measured_where_the_written_one_is(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path / "a.yaml", "eac: 1\n" + facts(4) + SEQUENCE + CHECKS))
    assert spec.ordered((4, 3, 2, 1)).checkpoints == (1, 2, 4)
    assert spec.ordered((2, 1)).checkpoints == (1, 2)
    assert spec.ordered((1, 2, 3, 4, 1)).checkpoints == (1, 2, 5)
    assert spec.ordered((2, 1)).edits == (spec.edits[1], spec.edits[0])


def test_the_checks_of_the_spec_hold_by_default_but_not_known(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path / "a.yaml", "eac: 1\n" + facts(2) + CHECKS + ORDERINGS))
    assert [each.id for each in spec.properties] == [
        "orderings-efficacy",
        "orderings-deviation",
        "orderings-spread-efficacy",
        "orderings-state",
    ]


@pytest.mark.parametrize(
    ("count", "orderings", "message"),
    [
        (2, "{hold: [eficacy]}", "'eficacy' is not a check of this spec; did you mean 'efficacy'?"),
        (2, "{hold: [known]}", "'known' is of the unedited model"),
        (2, "{hold: []}", "nothing is checked; expected a check to hold, a spread or a state"),
        (2, "{kinds: [interleaving]}", "sequence.batch is 1: take permutation"),
        (1, "{}", "a single edit has no order"),
        (2, "{examples: 0}", "greater than or equal to 1"),
        (2, "{budget: {seconds: 0}}", "greater than 0"),
    ],
)
def test_orderings_that_cannot_be_tried_are_refused(
    tmp_path: Path, count: int, orderings: str, message: str
) -> None:
    text = "eac: 1\n" + facts(count) + CHECKS + f"orderings: {orderings}\n"
    assert message in "\n".join(
        problem.message for problem in problems(write(tmp_path / "a.yaml", text))
    )


def test_conflicting_edits_need_a_truth(tmp_path: Path) -> None:
    text = "eac: 1\n" + facts(2, truth=None) + "checks: {efficacy: {min: 0}}\n"
    text += "orderings: {kinds: [conflict]}\n"
    found = problems(write(tmp_path / "a.yaml", text))
    assert "no edit has a truth to put back" in found[0].message

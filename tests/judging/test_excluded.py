"""Edits that do not count are counted apart, wherever a record is shown or judged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_eac.judging.checks import judge
from pytest_eac.judging.diagnosis import diagnose
from pytest_eac.judging.excluded import excluded_text
from pytest_eac.records.run import Record
from pytest_eac.reporting.html.page import report_page
from pytest_eac.reporting.markdown import summary
from pytest_eac.reporting.terminal import summary_lines
from pytest_eac.spec.schema.checks import Checks
from tests.judging.hand_made_chains import NOTHING, chain, checkpoint, share

if TYPE_CHECKING:
    from pytest_eac.records.run import Chain, Excluded

TEXT = "not counted: 2 already held before the edits, 1 with the truth as the target"


def excluding(of: Chain, *whys: Excluded | None) -> Chain:
    """The same chain, whose first edits do not count for these reasons."""
    rest = of.edits[len(whys) :]
    first = (replace(edit, excluded=why) for edit, why in zip(of.edits, whys, strict=False))
    return replace(of, edits=(*first, *rest))


SOME = excluding(
    chain(checkpoint(10, share(0.5, 7))), "already held", "target is truth", "already held"
)


def test_they_are_named_apart_with_each_metric_that_leaves_them_out() -> None:
    assert excluded_text(SOME) == TEXT
    assert excluded_text(SOME, at=2).startswith("not counted: 1 already held before the edits, 1 ")
    assert excluded_text(SOME, metric="known") == "not counted: 1 with the truth as the target"
    assert excluded_text(SOME, metric="locality") == ""
    checks = Checks.model_validate({"efficacy": {"min": 0.9}, "locality": {"min": 0.9}})
    efficacy, locality = (each.message for each in judge(SOME, checks))
    assert f"(n=7 edits, 95% interval 0.45 to 1.00, given this chain; {TEXT})" in efficacy
    assert "not counted" not in locality


def test_a_check_that_no_edit_counts_for_says_why_it_is_undecided() -> None:
    held = excluding(chain(checkpoint(1, NOTHING)), "already held")
    (found,) = judge(held, Checks.model_validate({"efficacy": {"min": 0.5}}))
    assert found.outcome == "undecided"
    assert found.message.endswith(
        "nothing to measure it on; not counted: 1 already held before the edits"
    )


def test_every_report_shows_them() -> None:
    assert f"  {TEXT}" in summary_lines([SOME])
    assert f"rome-s0: {TEXT}" in summary([SOME], [])
    page = report_page(Record(environment={}, chains=(SOME,)), [], command="", version="0")
    assert f"<small>{TEXT}</small>" in page
    assert '"excluded":"already held"' in page
    assert not [line for line in summary_lines([chain(checkpoint(2))]) if "not counted" in line]


def test_a_search_cut_short_for_an_edit_that_does_not_count_gives_no_advice() -> None:
    cut = chain(checkpoint(2, share(0.5, 1)))
    costs = tuple(replace(each, reached=False) for each in cut.per_edit)
    checks = Checks.model_validate({"efficacy": {"min": 0.9}})
    cut = replace(cut, per_edit=(costs[0], replace(costs[1], reached=True)))
    held = excluding(cut, "already held")
    for of, advised in ((replace(cut, per_edit=costs), True), (held, False)):
        judged = replace(of, verdicts=judge(of, checks))
        assert any("searches" in line for line in diagnose(judged)) == advised


def test_a_chain_without_costs_of_its_edits_is_diagnosed_all_the_same() -> None:
    of = replace(chain(checkpoint(2)), per_edit=())  # a release: nothing was edited here
    judged = replace(of, verdicts=judge(of, Checks.model_validate({"efficacy": {"min": 0.9}})))
    assert not any("searches" in line for line in diagnose(judged))

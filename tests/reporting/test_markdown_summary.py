from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_eac.reporting.markdown import summary, table
from pytest_eac.reporting.outcomes import Outcome, annotation
from tests.judging.hand_made_chains import ABILITY, NOTHING, able, chain, checkpoint, share

CHAIN = chain(checkpoint(2, locality=share(0.25), generalization=NOTHING), method="rome-eac")


def outcome(kind: str = "failed", message: str = "too low", **more: str) -> Outcome:
    name = more.get("name", "specs/a.eac.yaml::rome-s0::locality")
    return Outcome(name=name, outcome=kind, file="specs/a.eac.yaml", line=12, message=message)


def test_a_cell_cannot_break_out_of_its_table() -> None:
    assert table(("a", "b"), [("x|y", "<b>\n*z*")]) == [
        "| a | b |",
        "| --- | --- |",
        r"| x\|y | &lt;b&gt; \*z\* |",
    ]


def test_the_first_line_is_the_verdict_with_counts() -> None:
    told = [outcome(), outcome("error"), outcome("passed"), outcome("passed")]
    first = summary([CHAIN], told).splitlines()[0]
    assert first == "## Edits: failed (1 failed, 1 error, 2 passed)"
    assert summary([CHAIN], told[2:]).startswith("## Edits: passed (2 passed)\n")
    assert summary([], [outcome("skipped")]).startswith("## Edits: nothing decided (1 skipped)\n")


def test_each_chain_has_a_row_with_intervals_and_counts() -> None:
    text = summary([CHAIN], [])
    assert "### specs/hand.eac.yaml" in text
    assert (
        "weights 0123456789ab; match: accuracy; 95% intervals, for these edits, given each chain\n"
        in text
    )
    [row] = [line for line in text.splitlines() if line.startswith("| rome-eac-s0")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:2] == ["rome-eac-s0", "2"]
    assert cells[4:6] == ["-", "0.250 (0.23 to 1.00, n=10)"]
    assert cells[-1] == "0.1"


def test_abilities_have_a_table_of_their_own() -> None:
    lost = replace(ABILITY, signal=False)
    text = summary([chain(able(2, nli=ABILITY, qa=lost))], [])
    assert "| rome-s0 | nli | 0.75 | 0.55 | 0.73 (0.62 to 0.85) | 120 |" in text
    assert "| rome-s0 | qa | 0.75 | 0.55 | no signal | 120 |" in text


def test_bad_checks_are_told_in_full_and_skipped_ones_in_a_line() -> None:
    message = "one\n```\ntwo"
    text = summary([], [outcome(message=message, name="a<b>"), outcome("skipped", "few\nedits")])
    assert "<summary>failed: a&lt;b&gt;</summary>\n\n````text\none\n```\ntwo\n````\n" in text
    assert "- specs/a.eac.yaml::rome-s0::locality: few edits" in text


def test_what_passed_is_told_with_its_numbers_folded_away() -> None:
    text = summary([], [outcome("passed", "0.9 (n=3)\nif this continues"), outcome("passed", "")])
    assert "<details><summary>passed: 1</summary>\n\n- 0.9 (n=3); if this continues\n" in text


@pytest.mark.parametrize(("kind", "message"), [("passed", ""), ("xfailed", "secret")])
def test_what_has_nothing_to_tell_is_only_counted(kind: str, message: str) -> None:
    assert summary([], [outcome(kind, message)]).count("\n") == 1


def test_an_annotation_is_escaped_as_github_asks() -> None:
    assert annotation(outcome(message="50% lost\nedit 1: a, b")) == (
        "::error file=specs/a.eac.yaml,line=12,"
        "title=specs/a.eac.yaml%3A%3Arome-s0%3A%3Alocality::50%25 lost%0Aedit 1: a, b"
    )

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_eac.records.run import Verdict
from pytest_eac.reporting.terminal import summary_lines
from tests.judging.hand_made_chains import (
    ABILITY,
    COST,
    MODEL,
    NOTHING,
    able,
    chain,
    checkpoint,
    edit,
    share,
)

if TYPE_CHECKING:
    from pytest_eac.records.run import Chain

LAST = checkpoint(
    2,
    relative=0.1234,
    efficacy=share(1.0),
    generalization=share(0.625),
    locality=share(0.0),
    retention=share(1 / 3),
)
CHAIN = replace(
    chain(checkpoint(1, share(0.1)), LAST, method="rome-eac", seed=4),
    scoring="generation",
    per_edit=(replace(COST, seconds=1.25), replace(COST, seconds=3.25)),
)


def cells(line: str) -> list[str]:
    return line.split()


def test_a_run_is_told_with_its_spec_model_weights_and_scoring() -> None:
    text = "\n".join(summary_lines([CHAIN]))
    for told in (CHAIN.spec, "tiny", "float32", "cpu", "0123456789ab", "generation"):
        assert told in text


def test_a_chain_is_told_by_its_last_checkpoint_under_the_headings() -> None:
    *_, heading, row, _, _ = summary_lines([CHAIN])
    assert dict(zip(cells(heading), cells(row), strict=True)) == {
        "chain": "rome-eac-s4",
        "edits": "2",
        "known": "50.0%",
        "effic": "100.0%",
        "genrl": "62.5%",
        "local": "0.0%",
        "retain": "33.3%",
        "dev": "0.123",
        "s/edit": "2.2",
    }


def test_each_heading_ends_where_its_cells_end() -> None:
    *_, heading, row, _, _ = summary_lines([CHAIN])
    ends = [[word.end() for word in re.finditer(r"\S+", line)][1:] for line in (heading, row)]
    assert ends[0] == ends[1]


def test_nothing_measured_is_a_dash_and_not_a_zero() -> None:
    of = replace(CHAIN, known=NOTHING, checkpoints=(checkpoint(2, NOTHING),))
    row = cells(summary_lines([of])[-2])
    assert row[2:7] == ["-"] * 5
    assert "0.0%" in cells(summary_lines([CHAIN])[-3])


def test_every_share_has_its_interval_and_its_number_of_edits_below_it() -> None:
    few = replace(share(0.5, 7), low=0.4199, high=0.5801)
    all_ = replace(share(1.0, 2), low=0.7, high=1.0)
    last = checkpoint(2, all_, locality=few)
    of = replace(CHAIN, checkpoints=(last,), known=NOTHING, confidence=0.9)
    row, interval, counts = summary_lines([of])[-3:]
    assert cells(interval) == ["90%", "interval", "70-100", "70-100", "41-59", "70-100"]
    assert cells(counts) == ["number", "of", "edits", "2", "2", "7", "2"]
    assert row.index("50.0%") + len("50.0%") == interval.index("41-59") + len("41-59")


def test_a_number_of_all_edits_needs_no_count_of_its_own() -> None:
    of = replace(CHAIN, checkpoints=(checkpoint(2, share(0.5, 2)),), known=share(0.5, 2))
    assert "interval" in summary_lines([of])[-1]


TESTED = Verdict(
    check="efficacy",
    outcome="undecided",
    observed=0.95,
    required="at least 0.9",
    message="",
    n=120,
    p=0.031,
    p_adjusted=0.093,
    correction="holm",
    corrected_over=3,
)


def test_checks_with_a_confidence_show_their_p_values_and_the_correction() -> None:
    plain = replace(TESTED, check="locality", p=None, p_adjusted=None)
    heading, row = summary_lines([replace(CHAIN, verdicts=(TESTED, plain))])[-2:]
    assert heading.split() == ["chain", "check", "n", "p", "p", "corr.", "corrected", "verdict"]
    assert " ".join(cells(row)) == "rome-eac-s4 efficacy 120 0.031 0.093 holm over 3 undecided"
    assert "corrected" not in "\n".join(summary_lines([replace(CHAIN, verdicts=(plain,))]))


def test_the_chains_of_a_spec_share_one_heading() -> None:
    other = replace(CHAIN, method="rome")
    lines = summary_lines([CHAIN, other])
    assert len(lines) == len(summary_lines([CHAIN])) + 3
    assert [cells(line)[0] for line in lines[-6::3]] == ["rome-eac-s4", "rome-s4"]


def test_each_spec_has_a_table_of_its_own() -> None:
    other = replace(CHAIN, spec="specs/other.eac.yaml", seed=5)
    lines = summary_lines([CHAIN, other, replace(CHAIN, seed=6)])
    names = [cells(line)[0] for line in lines if cells(line)[0].startswith("rome-eac-s")]
    assert names == ["rome-eac-s4", "rome-eac-s6", "rome-eac-s5"]
    assert sum(line.startswith("specs/") for line in lines) == 2


def test_without_chains_there_is_nothing_to_tell() -> None:
    assert summary_lines([]) == []


WHOLE = replace(ABILITY, value=ABILITY.base, kept=1.0, kept_low=1.0, kept_high=1.0)
ABLE = replace(
    chain(able(1, nli=ABILITY, drift=ABILITY), able(2, nli=replace(ABILITY, kept=0.5))),
    abilities={"nli": WHOLE, "drift": WHOLE},
)


def test_abilities_are_told_by_the_last_checkpoint_that_has_them() -> None:
    rows = summary_lines([ABLE])[-2:]
    assert " ".join(cells(rows[0])) == "rome-s0 nli 0.750 0.550 0.50 0.62 to 0.85 120"
    assert " ".join(cells(rows[1])) == "rome-s0 drift 0.750 0.550 0.73 0.62 to 0.85 120"


def test_the_unedited_model_comes_first_and_keeps_everything() -> None:
    heading, *rows = summary_lines([ABLE, replace(ABLE, seed=1)])[-7:]
    assert cells(heading) == ["chain", "ability", "base", "edited", "kept", "95%", "n"]
    assert " ".join(cells(rows[0])) == "unedited nli 0.750 0.750 1.00 1.00 to 1.00 120"
    assert " ".join(cells(rows[1])) == "unedited drift 0.750 0.750 1.00 1.00 to 1.00 120"
    assert [cells(row)[0] for row in rows[2:]] == ["rome-s0", "rome-s0", "rome-s1", "rome-s1"]


def test_an_ability_without_a_signal_has_no_share() -> None:
    of = replace(ABLE, checkpoints=(able(2, nli=replace(ABILITY, signal=False)),))
    row = summary_lines([replace(of, abilities={"nli": ABILITY})])[-1]
    assert cells(row)[4:] == ["-", "no", "signal", "120"]


def test_chains_without_abilities_have_no_second_table() -> None:
    assert "ability" not in "\n".join(summary_lines([CHAIN]))


LONG = replace(
    CHAIN,
    spec="specs/quickstart.eac.yaml",
    method="a-method-with-a-rather-long-name-of-its-own",
    model=replace(MODEL, id="someone/SmolLM2-135M-Instruct", dtype="bfloat16"),
)
HUGE = replace(
    CHAIN,
    edits=(edit(0),) * 99_999,
    known=share(1.0),
    checkpoints=(checkpoint(99_999, share(1.0), relative=99.9),),
    per_edit=(replace(COST, seconds=3600.0),),
)
DEEP = replace(CHAIN, spec="tests/regression/of/a/deeply/nested/folder/of/specs/facts.eac.yaml")
HASHED = replace(
    CHAIN,
    model=replace(
        CHAIN.model, id="/home/someone/.cache/huggingface/models--x--y/snapshots/" + "f" * 40
    ),
)


WIDE = replace(
    ABLE,
    method=LONG.method,
    abilities={"an-ability-with-a-rather-long-name": ABILITY},
    checkpoints=(
        able(
            2,
            **{
                "an-ability-with-a-rather-long-name": replace(
                    ABILITY, value=1e300, base=99_999.9, kept=99.0, kept_low=10.0, kept_high=99.0
                )
            },
        ),
    ),
)


@pytest.mark.parametrize(
    "of",
    [CHAIN, LONG, HUGE, DEEP, HASHED, ABLE, WIDE, replace(WIDE, verdicts=(TESTED,))],
    ids=["plain", "long", "huge", "deep-spec", "deep-model", "able", "wide", "tested"],
)
def test_every_line_has_at_most_80_columns(of: Chain) -> None:
    assert [line for line in summary_lines([of]) if len(line) > 80] == []


def test_chains_whose_long_names_differ_at_the_end_can_be_told_apart() -> None:
    rows = summary_lines([LONG, replace(LONG, seed=5)])[-6::3]
    assert rows[0] != rows[1]


def test_edits_that_came_from_the_cache_are_counted_over_all_chains() -> None:
    cached = replace(
        CHAIN,
        per_edit=(replace(COST, cached=True), COST),
        cached_measurements=5,
    )
    line = "1 of 4 edits and 12 measurements came from the cache (s/edit: as solved)"
    assert summary_lines([cached, replace(CHAIN, cached_measurements=7)])[-1] == line


def test_answers_that_a_run_gave_itself_earlier_are_not_worth_a_line() -> None:
    assert summary_lines([replace(CHAIN, cached_measurements=2)]) == summary_lines([CHAIN])

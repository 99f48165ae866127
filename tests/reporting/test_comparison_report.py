from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_eac.judging.run_comparison import NamedRun, RunComparison, compare_runs
from pytest_eac.records.run import Chain, Measurement, Record
from pytest_eac.reporting.run_diff import (
    comparison_json,
    comparison_markdown,
    comparison_text,
)
from tests.judging.hand_made_chains import chain, checkpoint, rewritten


def local(relative: float, *scores: float) -> Chain:
    value = sum(scores) / len(scores)
    measured = Measurement(value=value, n=len(scores), low=0.0, high=1.0, scores=scores, misses=())
    made = chain(checkpoint(len(scores), locality=measured, relative=relative))
    renamed = tuple(
        rewritten(each, prompt=f"{each.texts.prompt} | {'x' * 90}") for each in made.edits
    )
    return replace(made, edits=renamed)


def compared(*, scoring: str = "accuracy") -> RunComparison:
    old = local(0.2, *[1.0] * 20)
    new = replace(local(0.1, *[0.0] * 7, *[1.0] * 13), scoring=scoring)
    runs = [
        NamedRun(file=name, record=Record(environment={}, chains=(each,)))
        for name, each in (("a.json", old), ("b.json", new))
    ]
    return compare_runs(runs)


def test_the_table_is_eighty_columns_wide_with_a_row_per_metric() -> None:
    lines = comparison_text(compared()).splitlines()
    assert max(map(len, lines)) <= 80
    [row] = [line.split() for line in lines if line.startswith("locality")][:1]
    assert " ".join(row) == "locality 1 0.65 -0.350 -0.567 to -0.117 0.016 20 7 0"
    [row] = [line.split() for line in lines if line.startswith("deviation")]
    assert " ".join(row) == "deviation 0.2 0.1 -50.0% - - - - -"
    assert "  better: deviation" in lines
    assert "  worse: locality" in lines


def test_the_first_five_edits_that_flipped_are_named_and_the_rest_counted() -> None:
    lines = comparison_text(compared()).splitlines()
    start = lines.index("  locality, lost:")
    assert lines[start + 1].startswith("    edit 1: prompt 0 | xxx")
    assert lines[start + 1].endswith("(1 -> 0)")
    assert lines[start + 6] == "    and 2 more"


def test_what_differs_is_said() -> None:
    told = "differs: scoring.match: found 'accuracy' there, 'success' here"
    assert f"  {told}" in comparison_text(compared(scoring="success")).splitlines()
    assert r"- differs: scoring.match: found 'accuracy'" in comparison_markdown(
        compared(scoring="success")
    )
    assert "differs" not in comparison_text(compared())


def test_json_can_be_read_back_from_any_encoding() -> None:
    text = comparison_json(compared(scoring="Ōsaka"))
    assert text.isascii()
    assert "Ōsaka" in str(json.loads(text))


def test_json_has_every_flip_and_the_p_values() -> None:
    data = json.loads(comparison_json(compared()))
    [pair] = data["comparisons"]
    [local] = [each for each in pair["changes"] if each["metric"] == "locality"]
    assert [each["item"] for each in local["lost"]] == list(range(7))
    assert local["p"] == pytest.approx(2 / 2**7)
    assert [run["file"] for run in data["runs"]] == ["a.json", "b.json"]


def test_markdown_has_the_same_numbers_and_escapes_prompts() -> None:
    text = comparison_markdown(compared())
    row = "| locality | 1 | 0.65 | -0.350 | -0.567 to -0.117 | 0.016 | 20 | 7 | 0 |"
    assert row in text
    assert r"- edit 1: prompt 0 \| xxx" in text
    assert "- and 2 more" in text

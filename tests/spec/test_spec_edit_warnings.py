"""Edits and prompts that can show nothing: the spec runs, and `validate` reports where."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_eac.spec.load import load_spec
from tests.files import write
from tests.spec.spec_texts import FACT, facts

if TYPE_CHECKING:
    from pathlib import Path

SUCCESS = "scoring: {match: success}\n"


def warned(file: Path, text: str) -> list[str]:
    spec = load_spec(write(file, "eac: 1\n" + text))
    return [str(each).removeprefix(f"{file}:") for each in spec.warnings]


def test_a_usual_edit_has_no_warning(file: Path) -> None:
    assert warned(file, SUCCESS + facts()) == []


@pytest.mark.parametrize("truth", [" Zu\u0308rich", "Z\u00fcrich "])
def test_a_target_that_is_the_truth_is_found_in_every_form(file: Path, truth: str) -> None:
    text = facts(target="Z\u00fcrich", truth=truth)
    target = json.dumps("Z\u00fcrich")
    (found,) = warned(file, SUCCESS + text)
    place = f"3:{text.index(target) + 1}: edits[0].target: "
    assert found.startswith(f"{place}the target 'Z\u00fcrich' is the truth: no model can find ")
    (found,) = warned(file, text)
    assert "a model that knows the fact already gives it" in found


def test_a_paraphrase_that_is_the_prompt_or_another_one_is_found(file: Path) -> None:
    text = facts(paraphrases=["oslo lies  in", "Where is {}?", "Where is Oslo?"])
    found = warned(file, text)
    columns = [text.index(each) + 1 for each in ('"oslo lies', '"Where is Oslo')]
    assert [each.partition(" the ")[0] for each in found] == [
        f"2:{columns[0]}: edits[0].paraphrases[0]:",
        f"2:{columns[1]}: edits[0].paraphrases[2]:",
    ]
    assert "is the edit's own prompt, so it is left out of generalization" in found[0]
    assert "is given twice and counts twice" in found[1]


def test_a_neighbour_that_an_edit_asks_about_is_found(file: Path) -> None:
    own = {**FACT, "neighborhood": [{"prompt": "To see Oslo, fly to"}]}
    other = {"subject": "Bergen", "prompt": "{} lies in", "target": "Chile"}
    near = {**FACT, "subject": "Rome", "neighborhood": [{"prompt": "Bergen lies in"}]}
    found = warned(file, f"edits: {json.dumps([own, other, near])}\n")
    assert [each.partition(": ")[2] for each in found] == [
        "edits[0].neighborhood[0]: this edit asks the neighbour 'To see Oslo, fly to' itself, "
        "so it is left out of locality",
        f"edits[2].neighborhood[0]: the edit at {file}:2 asks the neighbour 'Bergen lies in' "
        "itself, so it is left out of locality",
    ]


def test_a_neighbour_whose_answer_is_the_target_is_found(file: Path) -> None:
    text = facts(neighborhood=[{"prompt": "Lima lies in", "answer": "Peru"}])
    assert "success compares the two, so it is left out" in warned(file, SUCCESS + text)[0]
    assert "it cannot show that the edit spreads" in warned(file, text)[0]


@pytest.mark.parametrize("form", ["counterfact", "zsre", "jsonl"])
def test_a_record_of_a_data_file_is_named_by_its_line(file: Path, form: str) -> None:
    label = {"str": "Norway"}
    records = {
        "counterfact": {
            "requested_rewrite": {
                "prompt": "{} lies in",
                "subject": "Oslo",
                "target_new": label,
                "target_true": label,
            }
        },
        "zsre": {
            "subject": "Oslo",
            "src": "Where is Oslo?",
            "rephrase": "Oslo is in?",
            "alt": "Norway",
            "answers": ["Norway"],
            "loc": "Where is Bonn?",
            "loc_ans": "Germany",
        },
        "jsonl": {"subject": "Oslo", "prompt": "{} lies in", "target": "Norway", "truth": "Norway"},
    }
    record = json.dumps(records[form])
    data = write(file.parent / "data.json", record if form == "jsonl" else f"[\n{record}\n]")
    spec = load_spec(write(file, f"eac: 1\nedits: [{{from: data.json, format: {form}}}]\n"))
    (found,) = spec.warnings
    line = 1 if form == "jsonl" else 2
    assert found.as_warning.startswith(
        f"{data}:{line}:1: warning: the target 'Norway' is the truth"
    )

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.errors import DataError
from pytest_eac.spec.edits import Edit, Neighbor
from pytest_eac.spec.schema.edits import EditSource
from pytest_eac.spec.sources.reading import read_source

if TYPE_CHECKING:
    from pathlib import Path


def counterfact(subject: str = "Mount Brill", **changed: Any) -> dict[str, Any]:
    rewrite = {
        "prompt": "{} rises above the town of",
        "subject": subject,
        "relation_id": "P0",
        "target_new": {"str": "Quay", "id": "Q1"},
        "target_true": {"str": "Tarn", "id": "Q2"},
    }
    record = {
        "case_id": 1,
        "requested_rewrite": rewrite,
        "paraphrase_prompts": [f"From the top of {subject} one sees"],
        "neighborhood_prompts": ["Mount Pell rises above the town of", "Tarn Hill is in"],
        "generation_prompts": ["unused"],
    }
    return record | changed


def zsre(subject: str = "Mount Brill", **changed: Any) -> dict[str, Any]:
    record = {
        "subject": subject,
        "src": f"Which town lies below {subject}?",
        "pred": "unused",
        "rephrase": f"What is the town under {subject}?",
        "alt": "Quay",
        "answers": ["Tarn", "Tarn Town"],
        "loc": "nq question: who swam the lake first",
        "loc_ans": "Ada Moss",
        "cond": "unused",
    }
    return record | changed


def inline(subject: Any = "Mount Brill", **changed: Any) -> dict[str, Any]:
    return {"subject": subject, "prompt": "{} rises above", "target": "Quay"} | changed


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def listed(*records: Any) -> str:
    """A JSON list with each record on a line of its own; the first is on line 2."""
    return "[\n" + ",\n".join(json.dumps(record) for record in records) + "\n]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "facts"


def read(file: Path, text: str | bytes, form: str, **options: int) -> tuple[Edit, ...]:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    source = EditSource.model_validate({"from": file.name, "format": form, **options})
    return read_source(source, file)


def error_of(file: Path, text: str | bytes, form: str, **options: int) -> str:
    with pytest.raises(DataError) as raised:
        read(file, text, form, **options)
    return str(raised.value)


# What is read


def test_a_counterfact_record_becomes_an_edit(file: Path) -> None:
    [edit] = read(file, listed(counterfact()), "counterfact")
    assert edit == Edit(
        subject="Mount Brill",
        prompt="Mount Brill rises above the town of",
        target="Quay",
        truth="Tarn",
        paraphrases=("From the top of Mount Brill one sees",),
        neighborhood=(
            Neighbor(prompt="Mount Pell rises above the town of", answer="Tarn"),
            Neighbor(prompt="Tarn Hill is in", answer="Tarn"),
        ),
        origin=f"{file}:2",
    )


def test_white_space_around_counterfacts_objects_is_dropped_everywhere(file: Path) -> None:
    record = counterfact()
    record["requested_rewrite"] |= {"target_new": {"str": " Quay"}, "target_true": {"str": " Tarn"}}
    [edit] = read(file, listed(record), "counterfact")
    assert (edit.target, edit.truth) == ("Quay", "Tarn")
    assert {neighbor.answer for neighbor in edit.neighborhood} == {"Tarn"}


def test_a_zsre_record_becomes_an_edit(file: Path) -> None:
    [edit] = read(file, listed(zsre()), "zsre")
    assert edit == Edit(
        subject="Mount Brill",
        prompt="Which town lies below Mount Brill?",
        target="Quay",
        truth="Tarn",
        paraphrases=("What is the town under Mount Brill?",),
        neighborhood=(Neighbor(prompt="nq question: who swam the lake first", answer="Ada Moss"),),
        origin=f"{file}:2",
    )


def test_an_edit_of_a_file_has_the_specs_space_or_its_own(file: Path) -> None:
    file.write_text(lines(inline(), inline("Pell", space="never")), encoding="utf-8")
    source = EditSource.model_validate({"from": file.name, "format": "jsonl"})
    assert [edit.space for edit in read_source(source, file)] == ["auto", "never"]
    assert [edit.space for edit in read_source(source, file, space="always")] == ["always", "never"]


def test_a_line_of_jsonl_becomes_an_edit(file: Path) -> None:
    record = inline(
        truth="Tarn",
        paraphrases=["Below {} lies"],
        neighborhood=[{"prompt": "Mount Pell rises above"}],
    )
    [edit] = read(file, lines(record), "jsonl")
    assert edit == Edit(
        subject="Mount Brill",
        prompt="Mount Brill rises above",
        target="Quay",
        truth="Tarn",
        paraphrases=("Below Mount Brill lies",),
        neighborhood=(Neighbor(prompt="Mount Pell rises above", answer=None),),
        origin=f"{file}:1",
    )


def test_each_edit_knows_the_line_its_record_starts_on(file: Path) -> None:
    pretty = json.dumps([counterfact("Brill"), counterfact("Pell")], indent=1)
    starts = [n for n, line in enumerate(pretty.split("\n"), start=1) if line == " {"]
    edits = read(file, pretty, "counterfact")
    assert [edit.origin for edit in edits] == [f"{file}:{start}" for start in starts]
    blank = "\n" + lines(inline("Brill")) + "\r\n  \n" + lines(inline("Pell"))
    assert [edit.origin for edit in read(file, blank, "jsonl")] == [f"{file}:2", f"{file}:5"]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(file: Path) -> None:
    windows = "\ufeff" + lines(inline("Brill"), inline("Pell")).replace("\n", "\r\n")
    assert [edit.subject for edit in read(file, windows, "jsonl")] == ["Brill", "Pell"]
    assert len(read(file, "\ufeff" + listed(zsre()), "zsre")) == 1


def test_a_data_file_in_another_unicode_encoding_is_named(file: Path) -> None:
    file.write_bytes(lines(inline("Brill")).encode("utf-16"))
    source = EditSource.model_validate({"from": file.name, "format": "jsonl"})
    with pytest.raises(DataError, match=r"found UTF-16, expected UTF-8; save the file as UTF-8"):
        read_source(source, file)


def test_a_line_separator_within_a_text_does_not_end_a_line_of_jsonl(file: Path) -> None:
    text = json.dumps(inline(target="Quay\u2028Town"), ensure_ascii=False)
    assert read(file, text, "jsonl")[0].target == "Quay\u2028Town"


# take and seed

MANY = [inline(f"Mount {index}") for index in range(40)]


def subjects(file: Path, **options: int) -> list[str]:
    return [edit.subject for edit in read(file, lines(*MANY), "jsonl", **options)]


def test_take_takes_the_first_in_the_order_of_the_file(file: Path) -> None:
    assert subjects(file, take=3) == ["Mount 0", "Mount 1", "Mount 2"]
    assert subjects(file, take=40) == subjects(file)


def test_a_seed_draws_the_same_edits_every_time(file: Path) -> None:
    assert subjects(file, take=10, seed=7) == subjects(file, take=10, seed=7)


def test_another_seed_draws_other_edits(file: Path) -> None:
    assert set(subjects(file, take=10, seed=7)) != set(subjects(file, take=10, seed=8))


def test_a_draw_is_in_random_order_without_repetition(file: Path) -> None:
    drawn = subjects(file, seed=7)
    assert drawn != subjects(file)
    assert sorted(drawn) == sorted(subjects(file))


def test_a_smaller_draw_is_the_beginning_of_a_larger_one(file: Path) -> None:
    assert subjects(file, take=20, seed=7)[:5] == subjects(file, take=5, seed=7)


def test_an_edit_that_is_drawn_keeps_its_line(file: Path) -> None:
    for edit in read(file, lines(*MANY), "jsonl", take=5, seed=7):
        assert edit.origin == f"{file}:{int(edit.subject.removeprefix('Mount ')) + 1}"


def test_more_edits_than_there_are_cannot_be_taken(file: Path) -> None:
    said = error_of(file, lines(inline(), inline("Pell")), "jsonl", take=3)
    assert said == f"{file}: found 2 records, expected take: 3"


def test_a_record_that_is_not_taken_may_be_malformed(file: Path) -> None:
    text = lines(inline(), {"subject": 3})
    assert len(read(file, text, "jsonl", take=1)) == 1
    assert f"{file}:2: record 2: " in error_of(file, text, "jsonl")


# Malformed records


def without(record: dict[str, Any], *path: str) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(record))
    inner = copy
    for part in path[:-1]:
        inner = inner[part]
    del inner[path[-1]]
    return copy


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (without(counterfact(), "requested_rewrite"), "requested_rewrite"),
        (without(counterfact(), "requested_rewrite", "subject"), "requested_rewrite.subject"),
        (
            without(counterfact(), "requested_rewrite", "target_new", "str"),
            "requested_rewrite.target_new.str",
        ),
    ],
)
def test_a_missing_field_of_counterfact_is_named(
    file: Path, record: dict[str, Any], field: str
) -> None:
    said = error_of(file, listed(counterfact(), record), "counterfact")
    assert said == f"{file}:3: record 2: field {field} is missing"


@pytest.mark.parametrize("field", ["subject", "src", "rephrase", "alt", "answers", "loc"])
def test_a_missing_field_of_zsre_is_named(file: Path, field: str) -> None:
    said = error_of(file, listed(zsre(), without(zsre(), field)), "zsre")
    assert said == f"{file}:3: record 2: field {field} is missing"


@pytest.mark.parametrize("field", ["subject", "prompt", "target"])
def test_a_missing_field_of_jsonl_is_named(file: Path, field: str) -> None:
    said = error_of(file, lines(inline(), without(inline(), field)), "jsonl")
    assert said == f"{file}:2: record 2: field {field} is missing"


@pytest.mark.parametrize(
    ("text", "form", "line", "field", "found"),
    [
        (listed(counterfact(requested_rewrite=3)), "counterfact", 2, "requested_rewrite", "3"),
        (
            listed(counterfact(paraphrase_prompts="x")),
            "counterfact",
            2,
            "paraphrase_prompts",
            "'x'",
        ),
        (
            listed(counterfact(neighborhood_prompts=["x", 5])),
            "counterfact",
            2,
            "neighborhood_prompts.1",
            "5",
        ),
        (listed(zsre(alt=2006)), "zsre", 2, "alt", "2006"),
        (listed(zsre(answers="Tarn")), "zsre", 2, "answers", "'Tarn'"),
        (listed(zsre(answers=[])), "zsre", 2, "answers", "[]"),
        (lines(inline(subject=1984)), "jsonl", 1, "subject", "1984"),
        (lines(inline(paraphrases="x")), "jsonl", 1, "paraphrases", "'x'"),
        (lines(inline(neighborhood=[{"prompt": None}])), "jsonl", 1, "neighborhood.0.prompt", "No"),
        (lines(inline(target="  ")), "jsonl", 1, "target", "'  '"),
    ],
)
def test_a_field_of_another_type_is_named_with_what_was_found(
    file: Path, text: str, form: str, line: int, field: str, found: str
) -> None:
    said = error_of(file, text, form)
    assert said.startswith(f"{file}:{line}: record 1: field {field}: found {found}")


def test_an_unknown_field_of_jsonl_is_named_with_the_known_ones(file: Path) -> None:
    said = error_of(file, lines(inline(note="x")), "jsonl")
    assert said.startswith(f"{file}:1: record 1: field note is unknown; known are subject, prompt,")


def test_every_wrong_field_of_a_record_is_named(file: Path) -> None:
    said = error_of(file, lines({"subjct": "x", "target": 3}), "jsonl")
    for field in ("subject is missing", "prompt is missing", "target: found 3", "subjct is unk"):
        assert f"field {field}" in said


@pytest.mark.parametrize(
    ("text", "form", "line", "field"),
    [
        (lines(inline(), inline(prompt="Mount Pell rises above")), "jsonl", 2, "prompt"),
        (listed(zsre(), zsre(src="Which town lies below Mount Pell?")), "zsre", 3, "src"),
        (
            listed(
                counterfact(requested_rewrite=counterfact()["requested_rewrite"] | {"prompt": "x"})
            ),
            "counterfact",
            2,
            "prompt",
        ),
    ],
)
def test_a_record_whose_subject_is_not_in_its_prompt_names_the_field_of_the_file(
    file: Path, text: str, form: str, line: int, field: str
) -> None:
    said = error_of(file, text, form)
    assert said.startswith(f"{file}:{line}: record ")
    assert f"{field}: found " in said
    assert "the subject 'Mount Brill' does not occur in the prompt" in said


def test_a_blank_object_names_the_field_of_the_file(file: Path) -> None:
    assert "field alt: " in error_of(file, listed(zsre(alt="  ")), "zsre")


@pytest.mark.parametrize("record", ["3", '"text"', "[1]", "null", "true"])
@pytest.mark.parametrize("form", ["counterfact", "zsre", "jsonl"])
def test_a_record_that_is_no_object_is_refused(file: Path, record: str, form: str) -> None:
    text = record if form == "jsonl" else f"[{record}]"
    said = error_of(file, text, form)
    assert said.startswith(f"{file}:1: record 1: ")
    assert "object" in said


# Malformed files


@pytest.mark.parametrize("form", ["counterfact", "zsre"])
def test_a_list_that_is_not_json_is_refused_at_its_line(file: Path, form: str) -> None:
    said = error_of(file, '[\n{"a": 1},\n{"a": nul}\n]', form)
    assert said.startswith(f"{file}:3: not JSON: ")


def test_a_line_that_is_not_json_is_refused(file: Path) -> None:
    said = error_of(file, lines(inline()) + '{"subject": "x"\n', "jsonl")
    assert said.startswith(f"{file}:2: record 2: ")
    assert "Invalid JSON" in said


WHOLE = listed(counterfact("Brill"), counterfact("Pell"), counterfact("Dorn"))


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.66, 0.8, 0.99])
def test_a_file_that_is_cut_off_is_refused_where_it_ends(file: Path, share: float) -> None:
    text = WHOLE.rstrip()[: int(share * len(WHOLE.rstrip()))]
    said = error_of(file, text, "counterfact")
    assert said.startswith(f"{file}:{text.rstrip().count(chr(10)) + 1}: ")
    assert "not JSON" in said or "is the file cut off?" in said


def test_a_list_that_is_not_closed_is_called_cut_off(file: Path) -> None:
    text = WHOLE.rstrip().removesuffix("]").rstrip()
    said = error_of(file, text, "counterfact")
    assert said == f"{file}:4: the list of records is not closed; is the file cut off?"


def test_a_missing_comma_is_reported_where_it_is_missing(file: Path) -> None:
    record = json.dumps(counterfact())
    said = error_of(file, f"[\n{record}\n{record},\n{record}\n]\n", "counterfact")
    assert said.startswith((f"{file}:2: ", f"{file}:3: "))
    assert "cut off" not in said


@pytest.mark.parametrize("rest", ["x", "]", listed(counterfact("Pell")), "{}"])
def test_text_after_the_list_is_refused(file: Path, rest: str) -> None:
    said = error_of(file, f"{listed(counterfact())}\n{rest}", "counterfact")
    assert said.startswith(f"{file}:5: ")


@pytest.mark.parametrize("text", ["{}", json.dumps(counterfact()), '"x"', "3", "x", "", "  \n"])
def test_a_file_that_is_no_list_is_refused(file: Path, text: str) -> None:
    said = error_of(file, text, "counterfact")
    assert said.startswith(f"{file}:1: found ")
    assert said.endswith("expected a JSON list of records")


@pytest.mark.parametrize(
    ("text", "form"), [("[]", "counterfact"), ("[\n]", "zsre"), ("", "jsonl"), ("\n \n", "jsonl")]
)
def test_a_file_without_records_is_refused(file: Path, text: str, form: str) -> None:
    assert error_of(file, text, form) == f"{file}: no records in it; expected at least one"


@pytest.mark.parametrize("form", ["counterfact", "zsre", "jsonl"])
def test_a_file_that_is_not_utf_8_is_refused(file: Path, form: str) -> None:
    said = error_of(file, b'[{"subject": "caf\xe9"}]', form)
    place = f"{file}:1" if form == "jsonl" else str(file)
    assert said == f"{place}: not UTF-8 (byte 17); save the file as UTF-8"


@pytest.mark.parametrize("form", ["counterfact", "zsre", "jsonl"])
@pytest.mark.parametrize("value", ["9" * 5000, "[" * 100_000])
def test_a_hostile_record_is_refused_and_not_a_crash(file: Path, form: str, value: str) -> None:
    record = f'{{"subject": {value}}}'
    text = record if form == "jsonl" else f"[{record}]"
    assert error_of(file, text, form).startswith(f"{file}:1: ")


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    source = EditSource.model_validate({"from": "x", "format": "jsonl"})
    with pytest.raises(DataError) as raised:
        read_source(source, tmp_path / "x")
    assert str(raised.value).startswith(f"{tmp_path / 'x'}: there is no such file")
    with pytest.raises(DataError) as raised:
        read_source(source, tmp_path)
    assert str(raised.value) == f"{tmp_path}: is a directory; expected a regular file"


# The published samples


@pytest.mark.parametrize(
    ("name", "form"), [("counterfact.json", "counterfact"), ("zsre_mend_eval.json", "zsre")]
)
def test_every_record_of_a_published_sample_is_read(real_data: Path, name: str, form: str) -> None:
    path = real_data / name
    edits = read_source(EditSource.model_validate({"from": name, "format": form}), path)
    assert len(edits) == 500
    origins = [int(edit.origin.removeprefix(f"{path}:")) for edit in edits]
    assert origins == sorted(set(origins))
    for edit in edits:
        assert edit.prompt.count(edit.subject) == 1
        assert edit.truth
        assert edit.paraphrases
        assert edit.neighborhood
        answers = [neighbor.answer or "" for neighbor in edit.neighborhood]
        texts = [edit.subject, edit.prompt, edit.target, edit.truth, *edit.paraphrases, *answers]
        assert all(text and text == text.strip() for text in texts)
        assert "{}" not in edit.prompt

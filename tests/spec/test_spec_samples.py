"""Several sets of edits: which records are in each, and what is refused."""

from __future__ import annotations

import json
from itertools import chain
from math import comb
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.errors import DataError
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.schema.edits import EditSource
from pytest_eac.spec.sources.reading import _are_enough, read_sets, read_source
from tests.spec.spec_texts import EDIT, FACT, told

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.spec.sources.reading import EditSets


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    """Twelve facts, one a line."""
    path = tmp_path / "facts.jsonl"
    lines = (json.dumps(FACT | {"subject": f"Town {number}"}) for number in range(1, 13))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def source(**options: Any) -> EditSource:
    return EditSource.model_validate({"from": "facts.jsonl", "format": "jsonl", **options})


def names(drawn: EditSets) -> list[list[int]]:
    return [[int(edit.subject.removeprefix("Town ")) for edit in each] for each in drawn.sets]


def spec(folder: Path, samples: Any = 3, more: str = "", **options: Any) -> Path:
    path = folder / "s.eac.yaml"
    options = {"from": "facts.jsonl", "format": "jsonl", "take": 2} | options
    entries = [{key: value for key, value in options.items() if value is not None}]
    path.write_text(
        f"eac: 1\nedits: {json.dumps(entries)}\nsequence: {{samples: {samples}}}\n{more}"
    )
    return path


def test_sets_follow_one_another_in_the_file_without_a_seed(facts: Path) -> None:
    drawn = read_sets(source(take=3), facts, 4)
    assert names(drawn) == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
    assert drawn.records is None


def test_sets_share_no_edit_and_are_the_same_again_with_a_seed(facts: Path) -> None:
    drawn = read_sets(source(take=3, seed=5), facts, 4)
    assert sorted(chain.from_iterable(names(drawn))) == list(range(1, 13))
    assert names(drawn) != [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
    assert drawn == read_sets(source(take=3, seed=5), facts, 4)
    assert drawn != read_sets(source(take=3, seed=6), facts, 4)


@pytest.mark.parametrize("seed", [None, 5])
def test_more_samples_leave_those_before_as_they_were(facts: Path, seed: int | None) -> None:
    asked = source(take=3, seed=seed)
    two, three = read_sets(asked, facts, 2), read_sets(asked, facts, 3)
    assert three.sets[:2] == two.sets
    assert two.sets[0] == read_source(asked, facts)


@pytest.mark.parametrize("seed", [None, 5])
def test_too_few_records_for_separate_sets_give_different_ones(
    facts: Path, seed: int | None
) -> None:
    asked = source(take=5, seed=seed)
    drawn = read_sets(asked, facts, 6)
    assert drawn.records == 12
    assert len({frozenset(each) for each in names(drawn)}) == 6
    assert all(len(set(each)) == 5 for each in names(drawn))
    assert drawn.sets[0] == read_source(asked, facts)
    assert drawn == read_sets(asked, facts, 6)


def test_as_many_sets_as_there_are_different_ones_are_all_drawn(facts: Path) -> None:
    drawn = read_sets(source(take=11, seed=1), facts, 12)
    assert len({frozenset(each) for each in names(drawn)}) == 12


def test_too_few_records_for_different_sets_are_refused(facts: Path) -> None:
    with pytest.raises(DataError) as raised:
        read_sets(source(take=12), facts, 3)
    assert str(raised.value) == (
        f"{facts}: found 12 records, too few for 3 different sets of 12 edits (sequence.samples: "
        "3, take: 12); expected at least 13, and 36 for sets that share no edit: take fewer edits "
        "or fewer samples"
    )


def test_fewer_records_than_one_set_takes_are_refused_as_for_one_set(facts: Path) -> None:
    with pytest.raises(DataError, match=r"found 12 records, expected take: 13$"):
        read_sets(source(take=13), facts, 2)


def test_a_spec_has_its_edits_in_each_sample(tmp_path: Path, facts: Path) -> None:
    loaded = load_spec(spec(tmp_path, seed=3))
    samples = loaded.each_sample()
    assert [each.sample for each in samples] == [0, 1, 2] == list(range(loaded.samples))
    assert [each.edits for each in samples] == list(loaded.edit_sets)
    assert len(loaded.all_edits) == 6 == len(loaded.joined().edits)
    assert loaded.joined().samples == 1
    limited = loaded.limited(1)
    assert [len(each.edits) for each in limited.each_sample()] == [1, 1, 1]
    assert {each.checkpoints for each in limited.each_sample()} == {(1,)}
    assert not loaded.warnings


def test_several_sources_give_each_sample_its_part(tmp_path: Path, facts: Path) -> None:
    path = tmp_path / "s.eac.yaml"
    one, two = ({"from": "facts.jsonl", "format": "jsonl", "take": n} for n in (1, 2))
    path.write_text(f"eac: 1\nedits: {json.dumps([one, two])}\nsequence: {{samples: 2}}\n")
    found = [[edit.subject for edit in each] for each in load_spec(path).edit_sets]
    assert found == [["Town 1", "Town 1", "Town 2"], ["Town 2", "Town 3", "Town 4"]]


def test_edits_written_in_the_spec_cannot_be_sampled(tmp_path: Path) -> None:
    path = tmp_path / "s.eac.yaml"
    path.write_text(f"eac: 1\nedits: [{EDIT}]\nsequence: {{samples: 3}}\n")
    assert told(path) == [
        "2:9: edits[0]: sequence.samples: 3 draws 3 sets of edits, and this edit is written here: "
        "it would be the same in each; expected sources only ({from: FILE, format: FORMAT, take: "
        "N}): put it in a file, or take samples: 1"
    ]


def test_a_source_without_a_size_cannot_be_sampled(tmp_path: Path, facts: Path) -> None:
    assert told(spec(tmp_path, take=None)) == [
        "2:9: edits[0]: sequence.samples: 3 draws 3 sets of edits, and this source says nothing "
        "of their size; expected take: N, the number of edits in each"
    ]


def test_a_warning_says_that_sets_share_edits_and_that_they_are_not_random(
    tmp_path: Path, facts: Path
) -> None:
    shared, ordered = load_spec(spec(tmp_path, take=5)).warnings
    assert shared.message == (
        "3 sets of 5 edits share edits, since facts.jsonl has 12 records, and 15 are needed for "
        "sets that share none: a verdict over these sets is about the 12 edits of the file, not "
        "about others of their kind"
    )
    assert ordered.message == (
        "the sets follow one another in the file, since this source has no seed: a verdict over "
        "them is about other edits only if the order of the file is random; give a seed"
    )


def test_what_a_check_needs_is_looked_for_in_every_sample(tmp_path: Path, facts: Path) -> None:
    lines = facts.read_text(encoding="utf-8").splitlines()
    last = {key: value for key, value in json.loads(lines[-1]).items() if key != "truth"}
    facts.write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n", encoding="utf-8")
    (found,) = told(spec(tmp_path, 6, "scoring: {match: success}\n"))
    assert "Town 12) has no truth" in found


def test_sets_are_bounded_together_and_counted_without_huge_numbers(
    tmp_path: Path, facts: Path
) -> None:
    (found,) = told(spec(tmp_path, 10_000, take=101))
    assert found == (
        "3:21: sequence.samples: found 10,000 sets of 101 edits, expected at most 1,000,000 edits "
        "in all: take fewer edits or fewer samples"
    )
    for records in range(1, 9):
        for size in range(1, records + 1):
            for samples in range(2, 80):
                assert _are_enough(records, size, samples) == (comb(records, size) >= samples)
    assert _are_enough(10**9, 10**8, 10_000)  # by the number of all sets, it would take minutes


def test_samples_count_as_items(tmp_path: Path, facts: Path) -> None:
    more = "seeds: [0, 1]\nchecks: {efficacy: {min: 0.5}}\n"
    *_, found = told(spec(tmp_path, 6000, more, take=1))
    assert found == (
        "3:21: sequence.samples: found 12,001 items (1 methods x 2 seeds x 6,000 samples x 1 "
        "checks, 1 over all samples, and 0 comparisons), expected at most 10,000: write several "
        "specs"
    )

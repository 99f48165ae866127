from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_eac.judging.release_changes import judge_release
from pytest_eac.records.checkpoint_diff import Changes, ExtraFile, TensorDifference
from pytest_eac.records.json_files import from_json, to_json
from pytest_eac.records.run import Record, Release
from pytest_eac.spec.schema.checks import ChangedBounds

CHANGED = TensorDifference(
    name="layers.9.down.weight",
    kind="changed",
    file="model.safetensors",
    shape=(4, 6),
    dtype="F32",
    entries=24,
    l1=2.0,
    frobenius=1.0,
    base_l1=10.0,
    base_frobenius=5.0,
    rank=3,
    sha256="ab" * 32,
    base_sha256="cd" * 32,
)


EXTRA = ExtraFile(name="more/x.gguf", why="holds weights")


def release(
    *differences: TensorDifference,
    troubles: tuple[str, ...] = (),
    extra: tuple[ExtraFile, ...] = (),
    **more: Any,
) -> Release:
    changes = Changes(
        tensors=48, differences=differences, troubles=troubles, rank_limit=64, extra=extra
    )
    known = {"spec": "x.yaml", "base": "base", "edited": "out", "changes": changes}
    return Release(**{**known, "manifest": False, **more})


def lines(found: Release, **bounds: Any) -> list[str]:
    verdict = judge_release(found, ChangedBounds(**bounds))
    head, *wrong = verdict.message.splitlines()
    assert head.startswith("changed of out: ")
    assert verdict.outcome == ("failed" if wrong else "passed")
    return wrong


@pytest.mark.parametrize(
    "bounds",
    [
        {},
        {"only": ("layers.9.down.weight",)},
        {"only": ("other", "*.9.down.*")},
        {"max_relative": 0.2},
        {"max_rank": 3},
    ],
)
def test_a_change_that_is_allowed_passes(bounds: dict[str, Any]) -> None:
    assert lines(release(CHANGED), **bounds) == []


@pytest.mark.parametrize(
    ("bounds", "line"),
    [
        (
            {"only": ("*.8.*", "*.DOWN.*")},
            "is changed (24 entries), and is not one of *.8.*, *.DOWN.*",
        ),
        ({"max_relative": 0.19}, "is changed by 0.2 of its L1 norm, allowed 0.19"),
        ({"max_rank": 2}, "is changed in rank 3, allowed 2"),
    ],
)
def test_a_change_beyond_a_bound_is_named(bounds: dict[str, Any], line: str) -> None:
    assert lines(release(CHANGED), **bounds) == [
        f"  layers.9.down.weight (model.safetensors): {line}"
    ]


def test_a_rank_that_was_not_counted_to_its_end_is_told_as_above_the_limit() -> None:
    (line,) = lines(release(replace(CHANGED, rank=65)), max_rank=64)
    assert line.endswith("is changed in rank above 64, allowed 64")


def test_a_vector_has_no_rank_to_exceed() -> None:
    assert lines(release(replace(CHANGED, rank=None)), max_rank=1) == []


def test_a_tensor_that_was_all_zeros_is_changed_beyond_any_share() -> None:
    (line,) = lines(release(replace(CHANGED, base_l1=0.0)), max_relative=1e9)
    assert "is changed by inf of its L1 norm" in line


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("added", "is not in the base"),
        ("removed", "is missing; the base has it"),
        ("renamed", "is what the base calls OLD"),
        ("retyped", "is F32, in the base OLD"),
        ("reshaped", "has the shape (4, 6), in the base OLD"),
        ("untied", "is not in the base, which shares it with the embeddings"),
    ],
)
def test_another_structure_fails_without_any_bound(kind: Any, line: str) -> None:
    found = replace(CHANGED, kind=kind, was="OLD")
    assert lines(release(found)) == [f"  layers.9.down.weight (model.safetensors): {line}"]


@pytest.mark.parametrize("kind", ["same", "changed", "added", "retyped"])
def test_what_is_not_finite_fails_without_any_bound(kind: Any) -> None:
    found = replace(CHANGED, kind=kind, not_finite=2)
    assert lines(release(found))[0].endswith(": 2 entries are NaN or infinite")


def test_troubles_and_broken_promises_fail_without_any_bound() -> None:
    found = release(troubles=("tokenizer.json: x",), broken_promises=("a: y",), manifest=True)
    assert lines(found) == ["  tokenizer.json: x", "  a: y"]


@pytest.mark.parametrize("files", [(), ("*.GGUF",), ("x.gguf",)])
def test_a_file_that_is_not_known_fails_without_any_bound(files: tuple[str, ...]) -> None:
    assert lines(release(extra=(EXTRA,)), files=files) == ["  more/x.gguf: holds weights"]


@pytest.mark.parametrize("files", [("*.gguf",), ("logs/*", "more/x.gguf")])
def test_a_file_that_the_spec_allows_is_no_finding(files: tuple[str, ...]) -> None:
    assert lines(release(extra=(EXTRA,)), files=files) == []


def test_a_manifest_that_is_asked_for_must_be_there() -> None:
    assert lines(release(manifest=True), manifest=True) == []
    (line,) = lines(release(), manifest=True)
    assert "edit-manifest.json: is missing" in line


def test_a_long_list_is_cut_and_counted() -> None:
    many = [replace(CHANGED, name=f"t{n}", kind="added") for n in range(25)]
    found = lines(release(*many))
    assert (len(found), found[-1]) == (21, "  and 5 more")


def test_a_verdict_sums_up_what_changed() -> None:
    verdict = judge_release(release(CHANGED), ChangedBounds(only=("*",), max_rank=9))
    assert verdict.message == (
        "changed of out: 1 of 48 tensors differ from the base, by 0.2 at most (L1, relative), "
        "rank 3 at most; required only *, rank at most 9"
    )
    assert verdict.observed == 1


def test_a_release_comes_back_from_a_results_file() -> None:
    one = release(CHANGED, troubles=("a: b",), extra=(EXTRA,), broken_promises=("c: d",))
    one = replace(one, verdict=judge_release(one, ChangedBounds()))
    record = Record(environment={}, chains=(), releases=(one,))
    assert from_json(to_json(record)) == record


def test_a_release_that_cannot_be_read_is_not_said_to_be_like_its_base() -> None:
    found = judge_release(release(troubles=("model.safetensors: is cut off",)), ChangedBounds())
    assert "the release's tensors cannot be read, so none of 48 was compared" in found.message

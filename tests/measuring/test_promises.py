from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac import load_spec
from pytest_eac.measuring.manifest_check import broken_promises, other_base
from pytest_eac.records.checkpoint_diff import Changes, TensorDifference
from pytest_eac.records.manifest import (
    ChangedTensor,
    Fact,
    Manifest,
    Origin,
    manifest_from_json,
    manifest_to_json,
)
from pytest_eac.spec.hyperparameters import resolve_settings
from tests.conftest import WORLD

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.spec.spec import Spec

DOWN = "model.layers.1.mlp.down_proj.weight"
COMMIT = "ab" * 20
FOUND = TensorDifference(
    name=DOWN,
    kind="changed",
    file="model.safetensors",
    shape=(4, 6),
    dtype="F32",
    sha256="after",
    base_sha256="before",
)
CHANGES = Changes(
    tensors=48,
    differences=(FOUND,),
    troubles=(),
    rank_limit=64,
    fingerprint="edited",
    base_fingerprint="base",
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    path = tmp_path_factory.mktemp("spec") / "facts.eac.yaml"
    path.write_text(
        "eac: 1\nseeds: [0, 1]\nmethods: [mine: {base: rome-eac, layers: [1]}]\n"
        f"edits: [{{from: {WORLD}, format: jsonl, take: 2}}]\n",
        encoding="utf-8",
    )
    return load_spec(path)


@pytest.fixture
def manifest(spec: Spec) -> Manifest:
    settings = resolve_settings(spec.methods[0].choice, {"num_hidden_layers": 5})
    return Manifest(
        form="model",
        base=Origin(id="some/base", revision=COMMIT, fingerprint="base", dtype="float32"),
        edited_fingerprint="edited",
        spec="facts",
        method="mine",
        seed=1,
        hyperparameters=settings.model_dump(mode="json"),
        contexts=("{}",),
        edits=tuple(
            Fact(subject=each.subject, prompt=each.prompt, target=each.target)
            for each in spec.edits
        ),
        changed={DOWN: ChangedTensor(before="before", after="after")},
        files={},
        error=0.0,
        verdicts=(),
        version="0.1.0",
    )


def test_a_manifest_that_is_right_has_no_findings(spec: Spec, manifest: Manifest) -> None:
    assert list(broken_promises(manifest, CHANGES, spec)) == []
    assert list(other_base(manifest, "some/base", COMMIT)) == []


@pytest.mark.parametrize(
    ("forged", "said"),
    [
        ({"form": "deltas"}, "is that of an export as deltas, expected model"),
        ({"files": {"x": "0"}}, "has files or an error, which an export as model has not"),
        ({"error": 0.5}, "has files or an error, which an export as model has not"),
        (
            {"edited_fingerprint": "0" * 64},
            "edited_fingerprint: found 000000000000, but the tensors have edited",
        ),
        ({"method": "rome"}, "method: found 'rome', expected one of the spec's: mine"),
        ({"seed": 7}, "seed: found 7, expected one of the spec's: 0, 1"),
    ],
)
def test_what_is_not_so_is_named(
    spec: Spec, manifest: Manifest, forged: dict[str, Any], said: str
) -> None:
    (line,) = broken_promises(replace(manifest, **forged), CHANGES, spec)
    assert line == f"edit-manifest.json: {said}"


@pytest.mark.parametrize(
    ("forged", "said"),
    [
        ({"dtype": "nonsense"}, "edit-manifest.json: base.dtype: found 'nonsense', expected one"),
        ({"dtype": "bfloat16"}, f"{DOWN}: is F32, but edit-manifest.json says that it was edited"),
        ({"fingerprint": "0" * 64}, "edit-manifest.json: base.fingerprint: found 000000000000, bu"),
    ],
)
def test_what_is_not_so_of_the_base_is_named(
    spec: Spec, manifest: Manifest, forged: dict[str, Any], said: str
) -> None:
    found = replace(manifest, base=replace(manifest.base, **forged))
    (line,) = broken_promises(found, CHANGES, spec)
    assert line.startswith(said)


@pytest.mark.parametrize(
    ("forged", "said"),
    [
        ({"layers": [2]}, f"lists {DOWN} as changed, but hyperparameters.layers: 2"),
        ({"base": "magic"}, "hyperparameters.base: no method 'magic' is known here"),
        ({"base": 7}, "hyperparameters.base: "),
        ({"update": {"no_such": 1}}, "hyperparameters.update.no_such: "),
        ({"no_such": 1}, "hyperparameters.no_such: "),
        ({"layers": "all"}, "hyperparameters.layers."),
    ],
)
def test_hyperparameters_that_cannot_be_are_named(
    spec: Spec, manifest: Manifest, forged: dict[str, Any], said: str
) -> None:
    settings = {**manifest.hyperparameters, **forged}
    (line,) = broken_promises(replace(manifest, hyperparameters=settings), CHANGES, spec)
    assert line.startswith(f"edit-manifest.json: {said}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda edits: edits[::-1], "lists the edits of the spec in another order"),
        (lambda edits: [*edits, edits[0]], "lists the edits of the spec in another order"),
        (lambda edits: edits[1:], "does not list an edit of the spec"),
    ],
)
def test_edits_are_held_to_the_spec_to_the_letter(
    spec: Spec, manifest: Manifest, change: Any, said: str
) -> None:
    found = replace(manifest, edits=tuple(change(manifest.edits)))
    (line,) = broken_promises(found, CHANGES, spec)
    assert line.startswith(f"edit-manifest.json: {said}")


def test_a_release_that_cannot_be_read_has_no_fingerprint_to_compare(
    spec: Spec, manifest: Manifest
) -> None:
    found = replace(CHANGES, fingerprint="", base_fingerprint="", differences=())
    (line,) = broken_promises(manifest, found, spec)
    assert line.startswith(f"{DOWN}: is as in the base, or has another form")
    assert not [*broken_promises(manifest, replace(found, troubles=("model: is cut off",)), spec)]


def test_methods_and_seeds_that_the_spec_does_not_list_are_left_to_the_manifest(
    spec: Spec, manifest: Manifest, tmp_path: Path
) -> None:
    text = [
        line for line in spec.file.read_text().splitlines() if line[:5] not in {"metho", "seeds"}
    ]
    path = tmp_path / "release.eac.yaml"
    path.write_text("\n".join(text), encoding="utf-8")
    found = replace(manifest, method="other", seed=7)
    assert list(broken_promises(found, CHANGES, load_spec(path))) == []


@pytest.mark.parametrize(
    ("said", "given", "revision", "wrong"),
    [
        ("other/base", "some/base", None, "base.id"),
        ("package:one", "package:two", None, "base.id"),
        ("some/base", "base", None, None),  # a model that the hub knows without its owner
        ("some/base", "./folder", None, None),
        ("/data/base", "some/base", None, None),
        ("package:one", "some/base", None, None),
        ("some/base", "some/base", "cd" * 20, "base.revision"),
    ],
)
def test_another_base_is_named_where_ids_can_be_compared(
    manifest: Manifest, said: str, given: str, revision: str | None, wrong: str | None
) -> None:
    found = replace(manifest, base=replace(manifest.base, id=said))
    lines = list(other_base(found, given, revision))
    assert [line.split(": ")[1] for line in lines] == ([wrong] if wrong else [])


@pytest.mark.parametrize("place", [(), ("base",), ("changed", DOWN)])
def test_a_manifest_with_a_key_that_none_has_is_refused(
    manifest: Manifest, place: tuple[str, ...]
) -> None:
    found = json.loads(manifest_to_json(manifest))
    inner = found
    for name in place:
        inner = inner[name]
    inner["more"] = 1
    with pytest.raises(ValueError, match="keys or values that no manifest is written with"):
        manifest_from_json(json.dumps(found))


def test_long_lists_of_edits_are_compared_in_linear_time(
    spec: Spec, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, compared = 300, 0
    same = Fact.__eq__

    def counting(one: Fact, other: object) -> bool:
        nonlocal compared
        compared += 1
        return same(one, other)

    edits = tuple(replace(spec.edits[0], target=f"s{n}") for n in range(count))
    facts = tuple(replace(manifest.edits[0], subject=f"t{n}") for n in range(count))
    monkeypatch.setattr(Fact, "__eq__", counting)
    found = [*broken_promises(replace(manifest, edits=facts), CHANGES, replace(spec, edits=edits))]
    assert len(found) == 2 * count
    assert compared < 10 * count


def test_layers_that_a_manifest_does_not_fit_are_one_line(spec: Spec, manifest: Manifest) -> None:
    names = (DOWN, "model.layers.2.x.weight", f"model.layers.{'9' * 5000}.x.weight")
    lied = replace(
        manifest,
        changed=dict.fromkeys(names, manifest.changed[DOWN]),
        hyperparameters={**manifest.hyperparameters, "layers": [*range(3, 100)]},
    )
    (line,) = (each for each in broken_promises(lied, CHANGES, spec) if "layers: " in each)
    assert line == (
        f"edit-manifest.json: lists {DOWN} and 2 more as changed, but hyperparameters.layers: "
        "3, 4, 5, 6, 7, 8, 9, 10, 11, 12, ..."
    )

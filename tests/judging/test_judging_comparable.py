from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac import load_spec
from pytest_eac.errors import MismatchError, UnavailableError
from pytest_eac.judging.checks import judge_one
from pytest_eac.judging.comparable import describe, environment_changes, mismatches
from pytest_eac.judging.limits import undecided
from pytest_eac.judging.run_comparison import NamedRun, compare_runs
from pytest_eac.judging.stored_chains import StoredRecord, find_chain, unrecorded
from pytest_eac.records.run import Chain, ChainKey, Checkpoint, EditTexts, Record
from pytest_eac.spec import registry
from tests.judging.hand_made_chains import ABILITY, MODEL, able, chain, checkpoint, edit, rewritten

if TYPE_CHECKING:
    from pytest_eac.records.run import Chain
    from pytest_eac.spec.spec import Spec

STORED = replace(
    chain(checkpoint(1), checkpoint(3)),
    hyperparameters={"layers": [3], "value": {"steps": 20, "stop": None}},
    abilities={"nli": ABILITY},
    asked={"nli": {"take": 20}},
)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"model": replace(MODEL, fingerprint="ff" * 32)},
            "model: found package:tiny (weights 0123456789ab, float32) there, "
            "package:tiny (weights ffffffffffff, float32) here",
        ),
        ({"scoring": "success"}, "scoring.match: found 'accuracy' there, 'success' here"),
        ({"batch": 3}, "sequence.batch: found 1 there, 3 here"),
        (
            {"hyperparameters": {"layers": [3], "value": {"steps": 25, "stop": None}}},
            "hyperparameters.value.steps: found 20 there, 25 here",
        ),
        (
            {"hyperparameters": {"layers": [4], "value": {"steps": 20, "stop": 1}}},
            "hyperparameters.layers[0]: found 3 there, 4 here (and 1 more)",
        ),
        ({"edits": STORED.edits[:2]}, "number of edits: found 3 there, 2 here"),
        (
            {"edits": (*STORED.edits[:2], rewritten(edit(2), target="Oslo"))},
            "edit 3.target: found 'Paris' there, 'Oslo' here",
        ),
        (
            # A text is no path, whatever it looks like.
            {"edits": (*STORED.edits[:2], rewritten(STORED.edits[2], target="/other/Paris"))},
            "edit 3.target: found '/one/Paris' there, '/other/Paris' here",
        ),
        ({"asked": {"nli": {}}}, "abilities.nli.take: found 20 there, nothing here"),
    ],
)
def test_the_first_difference_is_named_with_both_values(changed: dict[str, Any], told: str) -> None:
    there = STORED
    if "/one/" in told:
        there = replace(STORED, edits=(*STORED.edits[:2], rewritten(edit(2), target="/one/Paris")))
    assert describe(mismatches(there, replace(STORED, **changed))) == told


@pytest.mark.parametrize("name", ["subject", "prompt", "target", "truth"])
def test_a_text_that_looks_like_a_path_is_a_text(name: str) -> None:
    def edited(text: str) -> Chain:
        return replace(STORED, edits=(rewritten(edit(0), **{name: text}), *STORED.edits[1:]))

    found = mismatches(edited("/a/Paris"), edited("/b/Paris"))
    assert describe(found) == f"edit 1.{name}: found '/a/Paris' there, '/b/Paris' here"


@pytest.mark.parametrize(
    ("name", "value", "is_one"),
    [("data", "DIR/a.tsv", True), ("include", "DIR/a.yaml", True), ("prompt", "DIR/a", False)],
)
def test_of_an_ability_the_data_and_tasks_may_lie_elsewhere(
    name: str, value: str, is_one: bool
) -> None:
    def asked(folder: str) -> Chain:
        return replace(STORED, asked={"nli": {name: value.replace("DIR", folder)}})

    assert (mismatches(asked("/a"), asked("/b")) == ()) == is_one


def test_a_target_behind_a_space_is_another_than_one_without() -> None:
    edits = tuple(replace(each, space="never", spaced=False) for each in STORED.edits)
    first = str(mismatches(STORED, replace(STORED, edits=edits))[0])
    assert first == "edit 1.spaced: found True there, False here"


def test_a_model_that_has_moved_and_an_edit_from_another_line_are_the_same() -> None:
    moved = replace(
        STORED,
        model=replace(MODEL, id="/elsewhere/tiny", device="cuda"),
        edits=tuple(replace(each, origin="other.yaml:1") for each in STORED.edits),
        seconds=99.0,
    )
    assert mismatches(STORED, moved) == ()


def test_versions_are_told() -> None:
    one, two = (Record(environment={"torch": each}, chains=()) for each in ("2.6", "2.7"))
    assert [str(each) for each in environment_changes(one, two)] == [
        "environment.torch: found '2.6' there, '2.7' here"
    ]


def test_a_chain_is_found_by_its_path_or_else_by_a_file_name_of_its_own() -> None:
    one = replace(STORED, spec="a/x.eac.yaml")
    two = replace(STORED, spec="b/x.eac.yaml")
    assert find_chain([one, two], ChainKey("b/x.eac.yaml", "rome", 0)) is two
    assert find_chain([one, two], ChainKey("c/x.eac.yaml", "rome", 0)) is None
    assert find_chain([one], ChainKey("/abs/x.eac.yaml", "rome", 0)) is one
    assert find_chain([one], ChainKey("a/x.eac.yaml", "rome", 1)) is None
    assert find_chain([one], ChainKey("a/x.eac.yaml", "rome", 0, sample=1)) is None
    assert find_chain([one], ChainKey("a/y.eac.yaml", "rome", 0)) is None


# a spec of today on the records of yesterday

SPEC = """eac: 1
model: package:tiny
methods: [{rome: {base: rome, layers: [3], covariance: none}}]
edits:
  - {subject: subject 0, prompt: prompt for subject 0, target: Paris, truth: Rome}
  - {subject: subject 1, prompt: prompt for subject 1, target: Paris}
sequence: {checkpoints: [1]}
checks:
  efficacy: {min: 0.4, at: every}
"""


def write(folder: Path, text: str) -> Spec:
    file = folder / "hand.eac.yaml"
    file.write_text(text, encoding="utf-8")
    return load_spec(file)


def stored_for(spec: Spec, *points: Checkpoint) -> StoredRecord:
    from pytest_eac.spec.hyperparameters import resolve_settings

    shape = {"model_type": "gpt2", "num_hidden_layers": 9, "hidden_size": 8}
    settings = resolve_settings(spec.methods[0].choice, shape)
    made = chain(*(points or (checkpoint(1), checkpoint(2))))
    edits = tuple(replace(edit(0), texts=EditTexts.of(each.texts)) for each in spec.edits)
    made = replace(
        made,
        model=replace(MODEL, shape=shape),
        edits=edits,
        hyperparameters=settings.model_dump(mode="json"),
    )
    return StoredRecord(file=Path("r.json"), record=Record(environment={}, chains=(made,)))


def take(stored: StoredRecord, spec: Spec) -> Chain:
    key = ChainKey(spec.file.as_posix(), spec.methods[0].name, spec.seeds[0])
    return stored.chain(key, spec, spec.methods[0])


def test_a_limit_may_change_freely(tmp_path: Path) -> None:
    spec = write(tmp_path, SPEC)
    stored = stored_for(spec)
    tighter = write(tmp_path, SPEC.replace("min: 0.4", "min: 0.6"))
    found = take(stored, tighter)
    assert judge_one(found, "efficacy", spec.checks["efficacy"]).outcome == "passed"
    assert judge_one(found, "efficacy", tighter.checks["efficacy"]).outcome == "failed"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("target: Paris, truth", "target: Oslo, truth", "edit 1.target: found 'Paris' there, 'Os"),
        ("truth: Rome", "truth: Bern", "edit 1.truth: found 'Rome' there, 'Bern' here"),
        ("package:tiny", "package:large", "model: found 'package:tiny' there, 'package:large' he"),
        ("layers: [3]", "layers: [4]", "hyperparameters.layers[0]: found 3 there, 4 here"),
        ("sequence:", "scoring: {match: generation}\nsequence:", "scoring.match: found 'accuracy'"),
        ("layers: [3]", "layers: [3], value: {steps: 3}", "hyperparameters.value.steps: found 20"),
    ],
)
def test_what_was_edited_and_how_may_not_change(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    stored = stored_for(write(tmp_path, SPEC))
    with pytest.raises(MismatchError) as raised:
        take(stored, write(tmp_path, SPEC.replace(old, new)))
    assert told in str(raised.value)
    assert "only limits may change" in str(raised.value)


def test_a_chain_that_is_not_stored_is_unavailable(tmp_path: Path) -> None:
    spec = write(tmp_path, SPEC)
    other = write(tmp_path, SPEC + "seeds: [5]\n")
    with pytest.raises(UnavailableError, match=r"r\.json: no chain rome-s5 of .*; run the spec wi"):
        take(stored_for(spec), other)


def test_a_file_may_lie_in_another_folder_but_not_have_another_name(tmp_path: Path) -> None:
    spec = write(tmp_path, SPEC.replace("package:tiny", "/models/tiny"))
    stored = stored_for(spec)
    [made] = stored.record.chains

    def having(model: str) -> StoredRecord:
        moved = replace(made, model=replace(made.model, id=model))
        return replace(stored, record=Record(environment={}, chains=(moved,)))

    take(having("/elsewhere/tiny"), spec)
    with pytest.raises(MismatchError, match="model: found '/elsewhere/large' there, '/models/tin"):
        take(having("/elsewhere/large"), spec)


def test_the_verdicts_of_its_time_are_left_behind(tmp_path: Path) -> None:
    spec = write(tmp_path, SPEC)
    stored = stored_for(spec)
    judged = replace(stored.record.chains[0], verdicts=(undecided("old", "", ""),))
    stored = replace(stored, record=Record(environment={}, chains=(judged,)))
    assert take(stored, spec).verdicts == ()


def test_only_the_checkpoints_that_the_spec_names_today_are_judged(tmp_path: Path) -> None:
    spec = write(tmp_path, SPEC)
    fewer = write(tmp_path, SPEC.replace("checkpoints: [1]", "checkpoints: []"))
    assert [point.at for point in take(stored_for(spec), fewer).checkpoints] == [2]


def test_a_check_of_every_checkpoint_is_undecided_if_one_was_not_recorded(tmp_path: Path) -> None:
    spec = write(tmp_path, SPEC)
    whole = take(stored_for(spec), spec)
    assert unrecorded(whole, spec, "efficacy") is None
    part = take(stored_for(spec, checkpoint(2)), spec)
    verdict = unrecorded(part, spec, "efficacy")
    assert verdict is not None
    assert verdict.outcome == "undecided"
    assert "nothing was recorded after 1 edits" in verdict.message
    final = write(tmp_path, SPEC.replace("at: every", "at: final"))
    assert unrecorded(part, final, "efficacy") is None


@pytest.mark.usefixtures("_own_registry")
def test_a_metric_that_was_not_recorded_is_undecided(tmp_path: Path) -> None:
    registry.register(registry.METRICS, "size", len)
    spec = write(tmp_path, SPEC + "  metrics: {size: {max: 3}}\n")
    verdict = unrecorded(take(stored_for(spec), spec), spec, "size")
    assert verdict is not None
    assert "undecided: it was not recorded; run the spec again" in verdict.message


def test_a_control_is_known_by_what_it_mirrors_and_by_its_kind(tmp_path: Path) -> None:
    spec = write(tmp_path, SPEC)
    stored = stored_for(spec)
    made = stored.record.chains[0]
    hyperparameters = made.hyperparameters | {"control": "random"}
    made = replace(made, hyperparameters=hyperparameters)
    stored = replace(stored, record=Record(environment={}, chains=(made,)))
    control = replace(spec.methods[0], control="random")
    key = ChainKey(spec.file.as_posix(), "rome", 0)
    assert stored.chain(key, spec, control).edits == made.edits
    with pytest.raises(MismatchError, match=r"hyperparameters\.control: found 'random' there, not"):
        stored.chain(key, spec, spec.methods[0])


def test_an_ability_asked_in_another_way_is_a_mismatch(tmp_path: Path) -> None:
    text = SPEC + "  abilities: {nli: {keep: 0.5, take: 20}}\n"
    spec = write(tmp_path, text)
    stored = stored_for(spec, able(2, nli=ABILITY))
    made = replace(stored.record.chains[0], abilities={"nli": ABILITY}, asked={"nli": {"take": 20}})
    stored = replace(stored, record=Record(environment={}, chains=(made,)))
    assert take(stored, spec).abilities
    take(stored, write(tmp_path, text.replace("keep: 0.5", "keep: 0.9")))
    with pytest.raises(MismatchError, match=r"abilities\.nli\.take: found 20 there, 30 here"):
        take(stored, write(tmp_path, text.replace("take: 20", "take: 30")))


# runs


def test_runs_are_held_against_the_first_and_what_is_in_one_alone_is_told() -> None:
    other = replace(STORED, method="memit")
    first = NamedRun(
        file="a.json", record=Record(environment={"torch": "1"}, chains=(STORED, other))
    )
    moved = replace(STORED, scoring="success")
    extra = replace(STORED, seed=9)
    second = NamedRun(
        file="b.json", record=Record(environment={"torch": "2"}, chains=(moved, extra))
    )
    found = compare_runs([first, second], metrics=["deviation"])
    [pair] = found.pairs
    assert (pair.chain, pair.there, pair.here) == ("rome-s0", "a.json", "b.json")
    assert [each.what for each in pair.differs] == ["scoring.match", "environment.torch"]
    assert [each.metric for each in pair.changes] == ["deviation"]
    assert found.unmatched == (
        "rome-s9 of specs/hand.eac.yaml: only in b.json",
        "memit-s0 of specs/hand.eac.yaml: in a.json, not in b.json",
    )

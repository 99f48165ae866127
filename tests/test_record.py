from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pytest_eac.records.checkpoint_diff import Changes
from pytest_eac.records.json_files import READERS, from_json, to_json
from pytest_eac.records.results_file import LAYOUT, SCHEMA, ResultsLayout, without_texts
from pytest_eac.records.run import (
    Chain,
    Checkpoint,
    Comparison,
    Deviation,
    EditCost,
    EditRecord,
    EditTexts,
    Measurement,
    Miss,
    ModelRecord,
    Norms,
    ProbePrompt,
    Record,
    Release,
    Unfinished,
    Verdict,
)
from tests.conftest import FIXTURES
from tests.judging.hand_made_chains import ABILITY, having

MISS = Miss(edit=1, group="locality", before="Japan", got="\tBrazil\n", score=0.0)
MEASURED = Measurement(
    value=2 / 3, n=2, low=0.2, high=0.9, scores=(1.0, 1 / 3, None), misses=(MISS,)
)
NOTHING = Measurement(value=None, n=0, low=None, high=None, scores=(None,) * 3, misses=())
NUMBER = Measurement(value=-1e300, n=0, low=None, high=None, scores=(), misses=())
NORMS = Norms(l1=0.1, l1_relative=1e-40, frobenius=1e40, frobenius_relative=0.3)
ABLE = replace(ABILITY, n=2)
DEVIATION = Deviation(
    l1=1.0, l1_relative=0.1, frobenius=2.0, frobenius_relative=0.2, by_parameter={"h.3.w": NORMS}
)
CHAIN = Chain(
    spec="specs/a.eac.yaml",
    method="rome-eac",
    seed=7,
    model=ModelRecord(
        id="package:tiny",
        revision=None,
        fingerprint="ab" * 32,
        architecture="gpt2",
        dtype="float32",
        device="cpu",
        attention="eager",
    ),
    scoring="accuracy",
    hyperparameters={"layers": [3], "value": {"steps": 20, "clamp": 4.0}, "anchors": None},
    contexts=("{}", "Yes. {}"),
    edits=(
        EditRecord(
            texts=EditTexts(
                subject="Ōsaka",
                start=0,
                prompt="Ōsaka lies in",
                target="Brazil",
                truth=None,
                probes={
                    "generalization": (ProbePrompt(prompt="Where is Ōsaka?", answer=None),),
                    "locality": (ProbePrompt(prompt="Kyoto lies in", answer="Japan"),),
                },
            ),
            origin="specs/a.eac.yaml:3",
        ),
    )
    * 3,
    known=NOTHING,
    checkpoints=(
        Checkpoint(
            at=3,
            deviation=DEVIATION,
            metrics={
                "efficacy": MEASURED,
                "generalization": MEASURED,
                "locality": NOTHING,
                "retention": MEASURED,
                "own": MEASURED,
                "number": NUMBER,
                "nothing": NOTHING,
            },
            abilities={"nli": ABLE, "qa": replace(ABLE, kept=None, about={"kl": 1e-9})},
        ),
    ),
    per_edit=(
        EditCost(
            seconds=0.5,
            peak_bytes=2**40,
            steps=(20, 10),
            loss=0.04,
            reached=True,
            anchors=(1, 5, 9),
            delta_norm=2.5,
            deviation=Norms(l1=1.0, l1_relative=0.1, frobenius=2.0, frobenius_relative=0.2),
            swallowed=0.0,
            score=None,
        ),
    )
    * 3,
    seconds=1.5,
    abilities={"nli": ABLE, "qa": ABLE},
    verdicts=(
        Verdict(
            check="efficacy", outcome="passed", observed=1.0, required="at least 0.9", message="ok"
        ),
    ),
)
RECORD = Record(
    environment={"torch": "2.6"},
    chains=(CHAIN,),
    comparisons=(
        Comparison(
            check="deviation-a-than-b",
            outcome="undecided",
            observed=None,
            required="",
            message="two\nlines",
            spec="specs/a.eac.yaml",
        ),
    ),
)

FINITE = st.floats(-1e300, 1e300)
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
SHARE = st.floats(0, 1)


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    """Measurements of three edits."""
    scores = tuple(draw(st.lists(st.none() | SHARE, min_size=3, max_size=3)))
    there = [score for score in scores if score is not None]
    group = st.sampled_from(["prompt", "generalization", "locality"])
    miss = st.builds(
        Miss,
        edit=st.integers(0, 2),
        group=group,
        index=st.just(0),
        before=st.none() | TEXT,
        got=TEXT,
        score=SHARE,
    )
    return Measurement(
        value=draw(SHARE) if there else None,
        n=len(there),
        low=draw(st.none() | FINITE),
        high=draw(st.none() | FINITE),
        scores=scores,
        misses=tuple(draw(st.lists(miss, max_size=2))),
    )


VERDICTS = st.builds(
    Verdict, check=TEXT, outcome=TEXT, observed=st.none() | FINITE, required=TEXT, message=TEXT
)
PLAIN = st.dictionaries(
    TEXT,
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FINITE | TEXT | st.lists(FINITE),
    max_size=3,
)


def test_a_record_comes_back_as_it_was_written() -> None:
    assert from_json(to_json(RECORD)) == RECORD


@settings(max_examples=25)
@given(
    known=measurements(),
    last=measurements(),
    verdicts=st.lists(VERDICTS, max_size=2).map(tuple),
    hyperparameters=PLAIN,
    environment=st.dictionaries(TEXT, TEXT, max_size=2),
)
def test_any_record_comes_back_as_it_was_written(
    known: Measurement,
    last: Measurement,
    verdicts: tuple[Verdict, ...],
    hyperparameters: dict[str, Any],
    environment: dict[str, str],
) -> None:
    chain = replace(
        CHAIN,
        known=known,
        checkpoints=(having(CHAIN.checkpoints[0], "retention", last),),
        verdicts=verdicts,
        hyperparameters=hyperparameters,
    )
    record = Record(environment=environment, chains=(chain, replace(CHAIN, seed=CHAIN.seed + 1)))
    assert from_json(to_json(record)) == record


def test_a_record_is_written_as_plain_json_with_its_schema() -> None:
    text = to_json(RECORD)
    data = json.loads(text)
    assert data["schema"] == SCHEMA == 4
    assert text.endswith("}\n")
    assert "Ōsaka" in text, "texts stay readable"
    chain = data["chains"][0]
    assert set(chain) == {field.name for field in fields(Chain)}
    assert [each["edit"] for each in chain["edits"]] == [0, 0, 0]
    (edit,) = data["edits"]
    assert edit["texts"]["probes"]["locality"] == [{"prompt": "Kyoto lies in", "answer": "Japan"}]
    assert chain["checkpoints"][0]["deviation"]["by_parameter"]["h.3.w"]["l1"] == 0.1
    assert data["comparisons"][0]["spec"] == "specs/a.eac.yaml"


def test_what_is_read_back_has_the_types_that_it_had() -> None:
    [chain] = from_json(to_json(RECORD)).chains
    assert type(chain.checkpoints[0].deviation.by_parameter["h.3.w"]) is Norms
    assert type(chain.per_edit[0].steps) is tuple
    assert type(chain.contexts) is tuple
    assert chain.checkpoints[0].metrics["efficacy"].misses == (MISS,)


def test_a_chain_is_named_as_in_node_ids() -> None:
    assert CHAIN.name == "rome-eac-s7"
    assert replace(CHAIN, sample=1).name == "rome-eac-s7-e1"
    assert replace(CHAIN, sample=1).key != CHAIN.key


def test_what_chains_have_in_common_is_in_the_file_once() -> None:
    other = replace(CHAIN, method="ft", released=replace(CHAIN.model, id="other"))
    stopped = Unfinished(chain=replace(CHAIN, seed=8), error="NonFiniteError", reason="nan")
    ended = replace(other, per_edit=())
    record = replace(RECORD, chains=(CHAIN, ended), unfinished=(stopped,))
    text = to_json(record)
    assert text.count("Ōsaka lies in") == text.count("package:tiny") == 1
    assert from_json(text) == record


def test_a_record_without_texts_quotes_no_edit_and_says_where_each_is() -> None:
    told = replace(CHAIN.verdicts[0], message="efficacy 0.7\n  'Ōsaka lies in' -> 'Japan'")
    chain = replace(CHAIN, verdicts=(told,))
    stopped = Unfinished(chain=chain, error="EditError", reason="Ōsaka: too long")
    bare = without_texts(replace(RECORD, chains=(chain,), unfinished=(stopped,)))
    text = to_json(bare)
    assert from_json(text) == bare
    assert not any(each in text for each in ("saka", "Kyoto", '"target": "'))
    (edit,) = json.loads(text)["edits"]
    assert (edit["texts"], edit["sha256"]) == (None, CHAIN.edits[0].texts.sha256)
    [read] = from_json(text).chains
    assert read.edits[0].texts.prompt == "edit at a.eac.yaml:3, text not stored"
    assert read.edits[1].asked(MISS) == (read.edits[1].texts.prompt, "Japan")
    assert read.verdicts[0].message == "efficacy 0.7"
    assert without_texts(bare) == bare


def test_answers_that_a_model_only_chose_from_are_left_out_with_the_texts() -> None:
    bare = without_texts(replace(RECORD, chains=(replace(CHAIN, scoring="success"),)))
    missed = [
        each
        for point in bare.chains[0].checkpoints
        for measured in point.metrics.values()
        for each in measured.misses
    ]
    assert missed
    assert all((each.before, each.got) == ("text not stored",) * 2 for each in missed)


def test_a_manifest_that_names_other_edits_is_not_quoted_without_texts() -> None:
    line = "edit-manifest.json: does not list an edit of the spec: 'Kyoto lies in' -> 'Peru'"
    judged = replace(CHAIN.verdicts[0], message=f"changed of b: 1 tensor\n  {line}")
    release = Release(
        spec="b.yaml",
        base="a",
        edited="b",
        changes=Changes(tensors=1, differences=(), troubles=(), rank_limit=1),
        manifest=True,
        broken_promises=(line,),
        verdict=judged,
    )
    (bare,) = without_texts(replace(RECORD, releases=(release,))).releases
    assert bare.broken_promises == ("text not stored",)
    assert bare.verdict is not None
    assert bare.verdict.message == "changed of b: 1 tensor"


def test_a_chain_is_in_a_file_once() -> None:
    twice = to_json(replace(RECORD, chains=(CHAIN, CHAIN)))
    with pytest.raises(ValueError, match=r"chains\[1\] \(.*found those of chains\[0\] again"):
        from_json(twice)


@pytest.mark.parametrize("found", ["", "ff", "G" * 64])
def test_what_is_no_sha256_is_refused(found: str) -> None:
    text = to_json(without_texts(RECORD))
    changed = text.replace(CHAIN.edits[0].texts.sha256, found)
    with pytest.raises(ValueError, match=r"edits\[0\]\.sha256: expected 64 hexadecimal digits"):
        from_json(changed)


@pytest.mark.parametrize("number", range(2, SCHEMA + 1))
def test_files_of_every_schema_are_read(number: int) -> None:
    text = (FIXTURES / "results" / f"schema-{number}.json").read_text(encoding="utf-8")
    assert json.loads(text)["schema"] == number
    record = from_json(text)
    assert [each.name for each in record.chains] == ["rome-s0", "rome-eac-s0"]
    assert record.chains[0].abilities
    assert record.chains[1].orders
    assert record.comparisons
    assert record.unfinished
    assert set(READERS) == set(range(2, SCHEMA + 1))


def test_the_layout_changes_with_the_schema_number_only() -> None:
    def bare(value: Any) -> Any:
        """Without words for readers, which pydantic puts into a schema."""
        if isinstance(value, list):
            return [bare(each) for each in value]
        if not isinstance(value, dict):
            return value
        kept = {key: bare(each) for key, each in value.items()}
        return {
            key: each
            for key, each in kept.items()
            if not (key in {"title", "description"} and isinstance(each, str))
        }

    layout = json.dumps(bare(TypeAdapter(ResultsLayout).json_schema()), sort_keys=True)
    found = sha256(layout.encode()).hexdigest()
    assert found == LAYOUT, (
        "the layout of results files has changed: raise SCHEMA in records/results_file.py, keep "
        "the reader of the old number and its fixture, add a fixture of the new one "
        f"(fixtures/README.md), and set LAYOUT to {found}; docs/decisions/0016-results-files.md"
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_not_written(value: float) -> None:
    for chain in (
        replace(CHAIN, seconds=value),
        replace(CHAIN, known=replace(MEASURED, scores=(value,))),
        replace(CHAIN, hyperparameters={"clamp": value}),
    ):
        with pytest.raises(ValueError, match="not JSON compliant"):
            to_json(Record(environment={}, chains=(chain,)))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_not_read_either(value: str) -> None:
    text = to_json(RECORD).replace('"loss": 0.04', f'"loss": {value}')
    assert value in text
    with pytest.raises(ValueError):
        from_json(text)


def parts(value: object) -> list[Any]:
    """Every dataclass instance within a value."""
    if is_dataclass(value):
        inner = [part for field in fields(value) for part in parts(getattr(value, field.name))]
        return [value, *inner]
    if isinstance(value, tuple):
        return [part for each in value for part in parts(each)]
    return []


def test_a_record_is_frozen_in_every_part() -> None:
    found = parts(RECORD)
    assert len({type(part) for part in found}) >= 10
    for part in found:
        with pytest.raises(FrozenInstanceError):
            setattr(part, fields(part)[0].name, None)


@pytest.mark.parametrize(
    ("schema", "shown", "todo"),
    [
        (1, "1", "run the spec again"),
        (SCHEMA + 1, f"{SCHEMA + 1}", "update pytest-eac"),
        ("2", "'2'", "run the spec again"),
        (True, "True", "run the spec again"),
        (None, "None", "run the spec again"),
        ([2], "a list", "run the spec again"),
    ],
)
def test_another_schema_is_refused_with_both(schema: object, shown: str, todo: str) -> None:
    data = json.loads(to_json(RECORD)) | {"schema": schema}
    with pytest.raises(ValueError, match=f"^found schema {shown}, expected 2 to {SCHEMA}; {todo}$"):
        from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"', "{}"])
def test_json_that_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"found schema None, expected 2 to {SCHEMA}"):
        from_json(text)


@pytest.mark.parametrize("text", ["", "{", "not json", to_json(RECORD)[:-10]])
def test_text_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_json(text)


@pytest.mark.parametrize("key", ["environment", "chains"])
def test_a_record_that_lacks_a_part_is_refused_by_its_name(key: str) -> None:
    data = json.loads(to_json(RECORD))
    del data[key]
    with pytest.raises(ValueError, match=key):
        from_json(json.dumps(data))


def test_a_part_of_another_type_is_refused_by_its_place() -> None:
    data = json.loads(to_json(RECORD))
    data["chains"][0]["checkpoints"][0]["at"] = "soon"
    with pytest.raises(
        ValueError,
        match=r"^chains\[0\]\.checkpoints\[0\]\.at: found 'soon', expected a whole number$",
    ):
        from_json(json.dumps(data))

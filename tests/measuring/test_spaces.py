"""Everything that puts an answer behind a prompt does so with the same space, or none."""

from __future__ import annotations

from dataclasses import replace
from math import exp
from typing import TYPE_CHECKING

import pytest

from pytest_eac import load_spec, run_chain
from pytest_eac.abilities.by_likelihood import Choice, Choices
from pytest_eac.cache.entries import Cache
from pytest_eac.cli import main
from pytest_eac.editing.loss import TargetLoss
from pytest_eac.editing.prompts import prepare
from pytest_eac.lm.tiny import tiny_model
from pytest_eac.lm.tokens import continuation
from pytest_eac.measuring.chain import RunOptions
from pytest_eac.measuring.metrics import retention
from pytest_eac.measuring.tracing import trace
from pytest_eac.records.json_files import from_json, to_json
from pytest_eac.records.run import Record
from pytest_eac.scoring.answers import Forced, force
from pytest_eac.scoring.perplexity import continued_perplexity
from pytest_eac.spec.edits import Edit, Neighbor
from pytest_eac.spec.metrics import BUILT_IN, RECALLED
from pytest_eac.text.spacing import Continuation
from tests.conftest import USER_CACHE
from tests.measuring.asking import after, ask

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.schema.spec_file import Match
    from pytest_eac.text.spacing import Space

WORDS = ["大阪", " 罗马", "日本", "法国", "京都", "次は", "这是"]
TEXTS = [*WORDS, "日本の首都は", "次の町は", "The capital is Rome"]
EDIT = Edit(
    subject="日本",
    prompt="日本の首都は",
    target="大阪",
    truth="京都",
    paraphrases=("The capital is",),
    neighborhood=(Neighbor(prompt="次の町は", answer="京都"), Neighbor(prompt="町は", answer=None)),
    origin="here:1",
)
SPEC = """
eac: 1
methods: [rome: {base: rome, layers: [1], contexts: {texts: ["{}"]}, value: {clamp: 16},
                 covariance: none}]
scoring: {match: generation}
edits:
  - {subject: 日本, prompt: "次は{}", target: 大阪}
  - {subject: 法国, prompt: "这是{}", target: 罗马, space: always}
checks: {efficacy: {min: 1}}
"""


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    """A model of random weights to which each of the words is one token."""
    return tiny_model(TEXTS)


def _ids(loaded: LoadedModel, text: str) -> tuple[int, ...]:
    return continuation(loaded.tokenizer, Continuation(text))


def _asked_of(module: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Collect the pairs that a module has scored."""
    asked: list[tuple[str, str]] = []

    def noted(model: LoadedModel, pairs: list[tuple[str, Continuation]]) -> list[Forced]:
        asked.extend(pairs)
        return force(model, pairs)

    monkeypatch.setattr(f"{module}.force", noted)
    return asked


@pytest.mark.parametrize(
    ("space", "target"), [("auto", "大阪"), ("never", "大阪"), ("always", " 大阪")]
)
def test_the_target_is_taught_as_it_follows_the_prompt(
    loaded: LoadedModel, space: Space, target: str
) -> None:
    edit = replace(EDIT, space=space)
    assert prepare(loaded, edit, ("{}", "次. {}")).target == _ids(loaded, target)
    nll = float(TargetLoss(loaded, (edit,))({}))  # what fine-tuning lowers
    (forced,) = force(loaded, [(edit.prompt, Continuation(target))])
    assert nll == pytest.approx(-forced.log_likelihood, rel=1e-4)


@pytest.mark.parametrize("match", ["accuracy", "success"])
@pytest.mark.parametrize("space", ["auto", "always", "never"])
def test_every_answer_is_scored_as_it_follows_its_own_prompt(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, match: Match, space: Space
) -> None:
    asked = _asked_of("pytest_eac.scoring.asker", monkeypatch)
    edited = after(ask(loaded, (replace(EDIT, space=space),), match), 1)
    for name in RECALLED:
        BUILT_IN[name].resolve()(edited)
    assert {prompt for prompt, _ in asked} == {EDIT.prompt, "The capital is", "次の町は", "町は"}
    for prompt, answer in asked:
        in_english = prompt == "The capital is"
        assert answer.startswith(" ") == (space == "always" or (space == "auto" and in_english))


def test_candidates_of_an_ability_go_by_their_script(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _asked_of("pytest_eac.abilities.by_likelihood", monkeypatch)
    prompts = ("这是", "The capital is")
    Choices(choices=tuple(Choice(prompt=p, candidates=("罗马",), right=0) for p in prompts)).ask(
        loaded
    )
    assert asked == [("这是", "罗马"), ("The capital is", " 罗马")]


def test_a_text_is_read_behind_its_prompt_as_the_script_has_it(loaded: LoadedModel) -> None:
    joined = continued_perplexity(loaded, [("次の町は", " 京都")])
    (forced,) = force(loaded, [("次の町は", Continuation("京都"))])
    assert joined == pytest.approx(exp(-forced.log_likelihood), rel=1e-4)


def test_what_is_asked_before_any_edit_goes_by_the_edits_space(
    loaded: LoadedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = _asked_of("pytest_eac.scoring.answers", monkeypatch)
    monkeypatch.setattr("pytest_eac.cli.ask.load", lambda *_: loaded)
    file = tmp_path / "spaces.eac.yaml"
    more = "truth: 京都, neighborhood: [{prompt: 次は, answer: 京都}]"
    text = SPEC.replace("target: 大阪", f"target: 大阪, {more}") + "model: here\n"
    file.write_text(text.replace("target: 罗马", f"target: 罗马, {more}"), encoding="utf-8")
    assert main(["ask", str(file)]) == 0
    assert "次は日本" in capsys.readouterr().out
    never = [("次は日本", "京都"), ("次は", "京都")]
    assert asked == [*never, ("这是法国", " 京都"), ("次は", " 京都")]


def test_a_miss_shows_the_answer_without_its_space(loaded: LoadedModel) -> None:
    recall = ask(loaded, (replace(EDIT, space="always"),), "accuracy")
    (miss,) = retention(after(recall, 1)).misses
    assert recall.records[0].asked(miss) == (EDIT.prompt, "大阪")


def test_a_fact_is_traced_by_its_truth_as_it_follows_the_prompt(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its truth is what the model says: without a space, and not behind one."""
    asked = _asked_of("pytest_eac.measuring.tracing", monkeypatch)
    for space in ("auto", "always"):
        own = replace(EDIT, truth=None)
        edits = (replace(EDIT, space=space), replace(own, prompt="日本は"))
        trace(loaded, edits, samples=1, cache=Cache(tmp_path))
    assert asked == [(EDIT.prompt, "京都"), (EDIT.prompt, " 京都")]


@pytest.mark.slow
def test_on_the_real_model_edits_in_chinese_and_japanese_hold_under_generation(
    real_model: LoadedModel, tmp_path: Path
) -> None:
    """Other characters stand behind the targets in what it writes."""
    file = tmp_path / "chinese.eac.yaml"
    file.write_text(
        "eac: 1\nmethods: [r: {base: rome, value: {steps: 20}, contexts: {texts: ['{}']}}]\n"
        "scoring: {match: generation}\nedits:\n"
        "  - {subject: 日本, prompt: '{}の首都は', target: 大阪}\n"
        "  - {subject: 法国, prompt: '{}的首都是', target: 罗马}\n",
        encoding="utf-8",
    )
    spec = load_spec(file)
    options = RunOptions(cache_dir=USER_CACHE)
    chain = run_chain(real_model, spec, spec.methods[0], options=options)
    assert chain.checkpoints[-1].metrics["efficacy"].value == 1.0
    assert [edit.spaced for edit in chain.edits] == [False, False]


def test_what_auto_comes_to_is_in_the_record(loaded: LoadedModel, tmp_path: Path) -> None:
    file = tmp_path / "spaces.eac.yaml"
    file.write_text(SPEC, encoding="utf-8")
    spec = load_spec(file)
    chain = run_chain(loaded, spec, spec.methods[0])
    assert chain.checkpoints[-1].metrics["efficacy"].value == 1.0
    assert [(edit.space, edit.spaced) for edit in chain.edits] == [
        ("auto", False),
        ("always", True),
    ]
    assert from_json(to_json(Record(environment={}, chains=(chain,)))).chains == (chain,)

"""The probability of right answers as a score, against a slow twin and on models that know less."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.abilities.measure import ask_abilities, measure_abilities
from pytest_eac.abilities.tasks import prepare
from pytest_eac.lm.weights import restored
from pytest_eac.scoring.answers import force
from pytest_eac.scoring.asker import as_loaded
from pytest_eac.spec.schema.abilities import AbilityBounds
from pytest_eac.text.spacing import as_continuation
from tests.abilities.test_abilities import wreck

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.lm.loading.load import LoadedModel


@pytest.fixture
def facts(world_records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Facts that the tiny models know, as (prompt, truth, another answer)."""
    truths = sorted({record["truth"] for record in world_records})
    return [
        {
            "question": record["prompt"].replace("{}", record["subject"]),
            "truth": record["truth"],
            "other": next(each for each in truths if each != record["truth"]),
        }
        for record in world_records[:12]
    ]


def bounds(path: Path, rows: list[dict[str, Any]], **options: Any) -> AbilityBounds:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    chosen = {"template": "{question}", "metric": "probability", **options}
    return AbilityBounds(keep=0.7, data=str(path), **chosen)


def questions(tmp_path: Path, facts: list[dict[str, Any]]) -> AbilityBounds:
    rows = [{"question": f["question"], "answer": [f["other"], f["truth"]]} for f in facts]
    return bounds(tmp_path / "qa.jsonl", rows, shots=0)


def choices(tmp_path: Path, facts: list[dict[str, Any]]) -> AbilityBounds:
    rows = [
        {
            "question": fact["question"],
            "choices": {"text": texts if at % 2 else texts[::-1], "label": ["A", "B"]},
            "answerKey": "AB"[at % 2 == 0],
        }
        for at, fact in enumerate(facts)
        for texts in [[fact["truth"], fact["other"]]]
    ]
    return bounds(tmp_path / "choices.jsonl", rows)


def likelihood(loaded: LoadedModel, prompt: str, answer: str) -> float:
    [forced] = force(loaded, [(prompt, as_continuation(prompt, answer))])
    return forced.log_likelihood


def test_an_open_question_scores_the_probability_of_its_likeliest_answer(
    tiny_llama: LoadedModel, tmp_path: Path, facts: list[dict[str, Any]]
) -> None:
    asked = prepare(tiny_llama, "qa", questions(tmp_path, facts)).asked
    expected = [
        max(
            math.exp(likelihood(tiny_llama, fact["question"], fact[name]))
            for name in ("other", "truth")
        )
        for fact in facts
    ]
    assert asked.ask(tiny_llama).scores == pytest.approx(expected, rel=1e-4)


def test_without_the_questions_the_answers_get_what_chance_is(
    tiny_llama: LoadedModel, tmp_path: Path, facts: list[dict[str, Any]]
) -> None:
    wanted = bounds(
        tmp_path / "qa.jsonl",
        [{"question": fact["question"], "answer": fact["truth"]} for fact in facts],
        template="Question: {question} Answer:",
        shots=0,
    )
    asked = prepare(tiny_llama, "qa", wanted).asked
    blank = "Question:  Answer:"
    expected = [math.exp(likelihood(tiny_llama, blank, fact["truth"])) for fact in facts]
    assert asked.chance == pytest.approx(sum(expected) / len(expected), rel=1e-4)


def test_a_choice_scores_the_share_of_its_right_candidate(
    tiny_llama: LoadedModel, tmp_path: Path, facts: list[dict[str, Any]]
) -> None:
    asked = prepare(tiny_llama, "reasoning", choices(tmp_path, facts)).asked
    expected = []
    for fact in facts:
        right, wrong = (
            math.exp(likelihood(tiny_llama, fact["question"], fact[name]))
            for name in ("truth", "other")
        )
        expected.append(right / (right + wrong))
    assert asked.ask(tiny_llama).scores == pytest.approx(expected, rel=1e-4)
    assert asked.chance == 0.5


@pytest.mark.parametrize("name", ["qa", "reasoning"])
def test_noise_on_one_matrix_costs_probability_and_intervals_are_narrower(
    name: str, tiny_llama: LoadedModel, tmp_path: Path, facts: list[dict[str, Any]]
) -> None:
    wanted = {name: (questions if name == "qa" else choices)(tmp_path, facts)}
    abilities = ask_abilities(as_loaded(tiny_llama), wanted)
    base = abilities.records[name]
    assert base.signal
    assert base.template == "{question} probability", "no comparison with right and wrong"
    with restored(tiny_llama.model, [tiny_llama.layout.down.format(1)]):
        wreck(tiny_llama)
        wrecked = measure_abilities(abilities, [name], as_loaded(tiny_llama))[name]
    assert wrecked.kept is not None
    assert wrecked.kept_high is not None
    assert wrecked.kept < wrecked.kept_high < 1


def test_answers_that_do_not_depend_on_the_question_have_no_signal(
    tiny_llama: LoadedModel, tmp_path: Path, facts: list[dict[str, Any]]
) -> None:
    wanted = bounds(
        tmp_path / "qa.jsonl",
        [{"question": "", "answer": fact["truth"], "always": "It is"} for fact in facts],
        template="{always}",
        shots=0,
    )
    assert not ask_abilities(as_loaded(tiny_llama), {"qa": wanted}).records["qa"].signal


def test_both_scores_of_one_ability_are_kept_apart_in_the_cache(
    tiny_llama: LoadedModel, tmp_path: Path, facts: list[dict[str, Any]]
) -> None:
    for name, make in (("qa", questions), ("reasoning", choices)):
        graded = make(tmp_path, facts)
        counted = graded.model_copy(update={"metric": None})
        one, two = (prepare(tiny_llama, name, each).question for each in (graded, counted))
        assert one != two

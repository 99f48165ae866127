"""The abilities held against lm-evaluation-harness: same prompts, same items, item by item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.abilities.answer_scores import first_answer, last_number
from pytest_eac.abilities.by_generation import Generations
from pytest_eac.abilities.by_likelihood import Choices
from pytest_eac.abilities.lm_eval_tasks import calm, load_tasks
from pytest_eac.abilities.tasks import prepare
from pytest_eac.scoring.answers import force, generate
from pytest_eac.spec.schema.abilities import AbilityBounds
from pytest_eac.text.spacing import as_continuation
from tests.abilities.lm_eval_tasks import CHOICE, generating, write_task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_eac.lm.loading.load import LoadedModel

pytestmark = pytest.mark.slow

# Sums of log-probabilities, in nats: what the order of additions in float32 may make.
_ROUNDING = 1e-3


@pytest.fixture(autouse=True)
def _own_prepared_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "prepared"))


def by_lm_eval(
    loaded: LoadedModel,
    folder: Path,
    docs: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """What lm-eval itself logs of each item, with no code of the project's between."""
    path = write_task(folder, "same", docs, settings)
    tasks = load_tasks("same", str(path), offline=True)
    with calm():
        from lm_eval.evaluator import evaluate
        from lm_eval.models.huggingface import HFLM

        model = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=8)
        found = evaluate(lm=model, task_dict={"tasks": tasks}, bootstrap_iters=0)
    samples: list[dict[str, Any]] = found["samples"]["same"]
    return samples


@pytest.mark.parametrize(
    ("name", "file", "options"),
    [
        ("nli", "rte.tsv", {"take": 40}),
        ("sentiment", "sst2.tsv", {"take": 40}),
        ("sentiment", "sst2.tsv", {"take": 10, "shots": 4}),
    ],
)
def test_choices_are_those_of_lm_eval(
    real_model: LoadedModel,
    real_data: Path,
    tmp_path: Path,
    name: str,
    file: str,
    options: dict[str, Any],
) -> None:
    bounds = AbilityBounds(keep=1, data=str(real_data / file), seed=3, **options)
    asked = prepare(real_model, name, bounds).asked
    assert isinstance(asked, Choices)
    docs = [
        {"prompt": each.prompt, "choices": each.candidates, "right": each.right}
        for each in asked.choices
    ]
    theirs = by_lm_eval(real_model, tmp_path, docs, CHOICE)
    pairs = [
        (each.prompt, as_continuation(each.prompt, text))
        for each in asked.choices
        for text in each.candidates
    ]
    ours = [each.log_likelihood * len(each.wanted) for each in force(real_model, pairs)]
    sums = [answer[0][0] for sample in theirs for answer in sample["resps"]]
    assert [float(each) for each in sums] == pytest.approx(ours, abs=_ROUNDING)
    assert asked.ask(real_model).scores == tuple(sample["acc"] for sample in theirs)


def test_short_answers_are_those_of_lm_eval(
    real_model: LoadedModel, real_data: Path, tmp_path: Path
) -> None:
    bounds = AbilityBounds(keep=1, data=str(real_data / "nq_open.jsonl"), take=16, seed=3)
    asked = prepare(real_model, "qa", bounds).asked
    assert isinstance(asked, Generations)
    metric = {
        "metric": "exact_match",
        "ignore_case": True,
        "ignore_punctuation": True,
        "regexes_to_ignore": [r"(?i)\b(?:a|an|the)\s+"],
    }
    settings = {
        **generating(asked.tokens, ["\n"], metric),
        "filter_list": [
            {
                "name": "bare",
                "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}],
            }
        ],
    }
    docs = [
        {"prompt": prompt, "answer": list(answers)}
        for prompt, answers in zip(asked.prompts, asked.references, strict=True)
    ]
    theirs = by_lm_eval(real_model, tmp_path, docs, settings)
    ours = generate(real_model, asked.prompts, tokens=asked.tokens)
    texts = [sample["resps"][0][0].strip() for sample in theirs]
    assert [first_answer(text) for text in ours] == texts
    assert asked.ask(real_model).scores == tuple(sample["exact_match"] for sample in theirs)


def test_final_numbers_are_those_of_lm_eval(
    real_model: LoadedModel, real_data: Path, tmp_path: Path
) -> None:
    bounds = AbilityBounds(keep=1, data=str(real_data / "gsm8k.jsonl"), take=5, seed=3)
    asked = prepare(real_model, "arithmetic", bounds).asked
    assert isinstance(asked, Generations)
    # The extraction and the metric of lm-eval's own gsm8k, "flexible-extract".
    metric = {
        "metric": "exact_match",
        "ignore_case": True,
        "ignore_punctuation": False,
        "regexes_to_ignore": [",", r"\$", r"(?s).*#### ", r"\.$"],
    }
    last = {
        "function": "regex",
        "group_select": -1,
        "regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)",
    }
    settings = {
        **generating(asked.tokens, ["\n\n"], metric),
        "filter_list": [{"name": "last", "filter": [last, {"function": "take_first"}]}],
    }
    docs = [
        {"prompt": prompt, "answer": result}
        for prompt, result in zip(asked.prompts, asked.references, strict=True)
    ]
    theirs = by_lm_eval(real_model, tmp_path, docs, settings)
    texts = generate(real_model, asked.prompts, tokens=asked.tokens)
    answers = [text.strip().partition("\n\n")[0] for text in texts]
    assert answers == [sample["resps"][0][0].strip() for sample in theirs]
    plain = [sample["filtered_resps"][0].strip("$.,").replace(",", "") for sample in theirs]
    assert [last_number(answer) or "[invalid]" for answer in answers] == plain
    assert asked.ask(real_model).scores == tuple(sample["exact_match"] for sample in theirs)

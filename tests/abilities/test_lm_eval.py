"""Tasks of lm-evaluation-harness on the live model, offline."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_eac.abilities import lm_eval as under_test
from pytest_eac.abilities.lm_eval import prepare_task
from pytest_eac.abilities.lm_eval_tasks import load_tasks
from pytest_eac.abilities.measure import ask_abilities, measure_abilities
from pytest_eac.cache.entries import Cache
from pytest_eac.errors import DataError, NonFiniteError, SettingsError, UnavailableError
from pytest_eac.lm.state.snapshot import unchanged
from pytest_eac.lm.weights import fingerprint
from pytest_eac.scoring.answers import force, generate
from pytest_eac.scoring.asker import as_loaded
from pytest_eac.spec.schema.abilities import AbilityBounds
from pytest_eac.text.spacing import Continuation
from tests.abilities.lm_eval_tasks import CHOICE, generating, write_task
from tests.files import write

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.lm.loading.load import LoadedModel

EXACT = {"metric": "exact_match"}


@pytest.fixture
def tiny(tiny_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LoadedModel:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "prepared"))
    return tiny_llama


@pytest.fixture
def docs(world_records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where is it, this city or that one? The right one's place varies."""
    found = []
    for index, fact in enumerate(world_records[:10]):
        right, wrong = fact["truth"], world_records[index - 1]["truth"]
        choices = [right, wrong, "Paris"] if index % 3 else [wrong, right]
        found.append(
            {
                "prompt": fact["prompt"].replace("{}", fact["subject"]),
                "choices": choices,
                "right": choices.index(right),
                "answer": right,
            }
        )
    return found


def bounds(include: Path, **more: Any) -> AbilityBounds:
    return AbilityBounds(keep=0.5, include=str(include), **more)


def scores(loaded: LoadedModel, name: str, asked: AbilityBounds) -> tuple[float, ...]:
    return prepare_task(loaded, f"lm_eval:{name}", asked).asked.ask(loaded).scores


def by_hand(loaded: LoadedModel, doc: dict[str, Any]) -> float:
    """1 where the summed log-likelihood of the right choice is the highest."""
    found = force(
        loaded, [(doc["prompt"], Continuation(f" {choice}")) for choice in doc["choices"]]
    )
    sums = [each.log_likelihood * len(each.wanted) for each in found]
    return float(sums.index(max(sums)) == doc["right"])


def test_a_choice_scores_as_by_hand(
    tiny: LoadedModel, tmp_path: Path, docs: list[dict[str, Any]]
) -> None:
    file = write_task(tmp_path, "places", docs, CHOICE)
    asked = prepare_task(tiny, "lm_eval:places", bounds(file)).asked
    replies = asked.ask(tiny)
    assert replies.scores == tuple(by_hand(tiny, doc) for doc in docs)
    assert sum(replies.scores) > 0
    assert asked.chance == pytest.approx((4 / 2 + 6 / 3) / 10)
    assert asked.majority == sum(doc["right"] == 0 for doc in docs) / 10


def test_a_generation_scores_as_by_hand_and_empty_answers_are_counted(
    tiny: LoadedModel, tmp_path: Path, docs: list[dict[str, Any]]
) -> None:
    replies = {**generating(4, ["\n", "."], EXACT), "doc_to_target": " {{answer}}"}
    write_task(tmp_path, "told", docs, replies)
    write_task(tmp_path, "mute", docs, generating(3, [" "], EXACT))
    texts = generate(tiny, [doc["prompt"] for doc in docs], tokens=4)
    wanted = tuple(
        float(text.partition(".")[0] == f" {doc['answer']}")
        for text, doc in zip(texts, docs, strict=True)
    )
    assert scores(tiny, "told", bounds(tmp_path)) == wanted
    assert sum(wanted) > 1
    mute = prepare_task(tiny, "lm_eval:mute", bounds(tmp_path)).asked
    assert mute.ask(tiny).unparsable == len(docs)
    assert (mute.chance, mute.majority) == (None, None)


def test_items_are_drawn_by_take_and_seed(
    tiny: LoadedModel, tmp_path: Path, docs: list[dict[str, Any]]
) -> None:
    file = write_task(tmp_path, "places", docs, CHOICE)
    every = tuple(by_hand(tiny, doc) for doc in docs)
    assert scores(tiny, "places", bounds(file, take=4)) == every[:4]
    drawn = sorted(random.Random(7).sample(range(10), 4))
    assert drawn != [0, 1, 2, 3]
    found = prepare_task(tiny, "lm_eval:places", bounds(file, take=4, seed=7))
    assert found.asked.ask(tiny).scores == tuple(every[index] for index in drawn)
    assert [row[2] for row in found.asked.items[4:]].count(str(docs[drawn[0]])) >= 2
    with pytest.raises(DataError, match="found 10 items in places, expected take: 11"):
        prepare_task(tiny, "lm_eval:places", bounds(file, take=11))


def test_a_group_has_the_items_of_all_its_tasks(
    tiny: LoadedModel, tmp_path: Path, docs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(tmp_path, "one", docs[:4], {**CHOICE, "tag": "both"})
    write_task(tmp_path, "two", docs[4:], {**CHOICE, "tag": "both"})
    monkeypatch.setattr("lm_eval.tasks.TaskManager", _without_own_tasks())
    found = scores(tiny, "both", bounds(tmp_path))
    assert found == tuple(by_hand(tiny, doc) for doc in docs)


def _without_own_tasks() -> Any:
    """Reading the list of lm-eval's own tasks takes seconds, and no test needs one."""
    from lm_eval.tasks import TaskManager

    def make(**options: Any) -> Any:
        return TaskManager(**{**options, "include_defaults": False})

    return make


def test_worked_examples_are_the_same_each_time(
    tiny: LoadedModel, tmp_path: Path, docs: list[dict[str, Any]]
) -> None:
    examples = {**CHOICE, "fewshot_config": {"sampler": "default", "samples": docs[5:]}}
    file = write_task(tmp_path, "places", docs[:5], examples)
    asked = prepare_task(tiny, "lm_eval:places", bounds(file, shots=1))
    prompts = [row[1] for row in asked.asked.items[4:]]
    assert all("\n\n" in eval(each)[0] for each in prompts)
    assert isinstance(asked.asked, under_test.Harness)
    asked.asked.ask(tiny)
    task = asked.asked.tasks["places"]
    assert [str(each.args) for each in task.instances] == prompts
    fixed = write_task(tmp_path, "none", docs, {**CHOICE, "num_fewshot": 0})
    with pytest.raises(SettingsError, match="shots: found 2, but none says num_fewshot: 0"):
        prepare_task(tiny, "lm_eval:none", bounds(fixed, shots=2))


def test_a_metric_and_a_filter_can_be_chosen(
    tiny: LoadedModel, tmp_path: Path, docs: list[dict[str, Any]]
) -> None:
    settings = generating(3, ["\n"], EXACT)
    filters = [
        {"name": name, "filter": [{"function": "regex", "regex_pattern": pattern}]}
        for name, pattern in (("never", "(XYZ)"), ("all", "(?s)(.*)"))
    ]
    take = {"function": "take_first"}
    for each in filters:
        each["filter"].append(take)  # type: ignore[attr-defined]
    file = write_task(tmp_path, "told", docs, {**settings, "filter_list": filters})
    first = prepare_task(tiny, "lm_eval:told", bounds(file)).asked.ask(tiny)
    assert first.unparsable == len(docs)
    chosen = prepare_task(tiny, "lm_eval:told", bounds(file, metric="exact_match,all"))
    assert chosen.asked.ask(tiny).unparsable == 0
    assert chosen.template is not None
    assert chosen.template.startswith("lm_eval:told: exact_match,all (lm-eval ")
    message = "expected METRIC or METRIC,FILTER with the metric exact_match and the filter never"
    with pytest.raises(SettingsError, match=message):
        prepare_task(tiny, "lm_eval:told", bounds(file, metric="acc"))


def test_a_metric_that_is_no_mean_over_items_is_refused(
    tiny: LoadedModel, tmp_path: Path, docs: list[dict[str, Any]]
) -> None:
    metric = {"metric": "f1", "aggregation": "f1", "higher_is_better": True}
    file = write_task(tmp_path, "places", docs, {**CHOICE, "metric_list": [metric]})
    with pytest.raises(SettingsError, match="found the metrics f1; expected one"):
        prepare_task(tiny, "lm_eval:places", bounds(file))


def test_a_score_above_1_is_refused(
    tiny: LoadedModel, tmp_path: Path, docs: list[dict[str, Any]]
) -> None:
    (tmp_path / "own.py").write_text("def score(doc, results):\n    return {'acc': 40.0}\n")
    file = write_task(tmp_path, "places", docs, CHOICE)
    file.write_text(file.read_text()[:-1] + ", process_results: !function own.score}")
    with pytest.raises(SettingsError, match=r"'acc': found '40.0' for item 0, expected a number"):
        scores(tiny, "places", bounds(file))


def test_a_task_that_is_not_there_is_told_with_the_nearest(
    tiny: LoadedModel, tmp_path: Path, docs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_task(tmp_path, "places", docs, CHOICE)
    message = r"found no task 'place' in the .yaml files of .*did you mean 'places'"
    with pytest.raises(SettingsError, match=message):
        prepare_task(tiny, "lm_eval:place", bounds(tmp_path))
    with pytest.raises(SettingsError, match=r"found places in .*, expected the task 'other'"):
        prepare_task(tiny, "lm_eval:other", bounds(file))

    class Own:
        all_tasks = ("arc_easy", "arc_challenge")

    name = "pytest_eac.abilities.lm_eval_tasks._own_tasks"
    monkeypatch.setattr(name, Own)
    with pytest.raises(SettingsError, match="no task 'arc_eesy'; did you mean 'arc_easy'"):
        prepare_task(tiny, "lm_eval:arc_eesy", AbilityBounds(keep=1))


def test_data_that_is_not_on_this_machine_is_told_with_the_way_to_get_it(
    tiny: LoadedModel, tmp_path: Path, docs: list[dict[str, Any]]
) -> None:
    where = {"dataset_path": "nobody/nothing-of-the-kind", "dataset_kwargs": {}}
    file = write_task(tmp_path, "places", docs, {**CHOICE, **where})
    with pytest.raises(UnavailableError, match=r"not on this machine.*run: lm_eval run"):
        prepare_task(tiny, "lm_eval:places", bounds(file), offline=True)


@pytest.mark.parametrize("offline", [False, True])
def test_offline_the_data_of_a_task_is_looked_for_on_this_machine_only(
    offline: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets.config
    import huggingface_hub.constants

    seen = []

    class Manager:
        def __init__(self, **_: object) -> None:
            """Know every task."""

        def load(self, _: list[str]) -> dict[str, Any]:
            seen.append((datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE))
            return {"tasks": {"any": None}}

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("lm_eval.tasks.TaskManager", Manager)
    file = write(tmp_path / "any.yaml", "")
    assert load_tasks("any", str(file), offline=offline) == {"any": None}
    assert seen == [(offline, offline)]
    assert not datasets.config.HF_HUB_OFFLINE


def test_a_broken_task_is_told_by_name(
    tiny: LoadedModel, tmp_path: Path, docs: list[dict[str, Any]]
) -> None:
    file = write_task(tmp_path, "places", docs, {**CHOICE, "output_type": "nonsense"})
    with pytest.raises(DataError, match=r"lm_eval:places: lm-eval cannot load it: .*nonsense"):
        prepare_task(tiny, "lm_eval:places", bounds(file))


def test_without_lm_eval_the_command_that_brings_it_is_told(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r"pip install 'pytest-eac\[lm-eval\]'"):
        prepare_task(tiny, "lm_eval:places", AbilityBounds(keep=1))


def test_a_chat_needs_a_template(
    tiny: LoadedModel, tmp_path: Path, docs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_task(tmp_path, "places", docs, CHOICE)
    with pytest.raises(SettingsError, match="chat: the model's tokenizer has no chat template"):
        prepare_task(tiny, "lm_eval:places", bounds(file, chat=True))
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    monkeypatch.setattr(tiny.tokenizer, "chat_template", template)
    asked = prepare_task(tiny, "lm_eval:places", bounds(file, chat=True)).asked
    assert f"<user>{docs[0]['prompt']}" in asked.items[4][1]
    assert len(asked.ask(tiny).scores) == len(docs)


def test_model_generators_and_logs_are_left_as_they_were(
    tiny: LoadedModel,
    tmp_path: Path,
    docs: list[dict[str, Any]],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = write_task(tmp_path, "told", docs, generating(2, ["\n"], EXACT))
    before = fingerprint(tiny.model)
    tiny.tokenizer.pad_token, pad = None, tiny.tokenizer.pad_token
    random.seed(99)
    torch.manual_seed(99)
    states = random.getstate(), torch.get_rng_state()
    try:
        with unchanged(tiny, "lm-eval"):
            scores(tiny, "told", bounds(file))
        assert tiny.tokenizer.pad_token is None
    finally:
        tiny.tokenizer.pad_token = pad
    assert fingerprint(tiny.model) == before
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    assert capfd.readouterr() == ("", "")
    assert not [each for each in caplog.records if each.name.startswith("lm_eval")]
    assert logging.getLogger("lm_eval").level == logging.NOTSET


def test_a_logit_that_is_not_finite_is_an_error(
    tiny: LoadedModel, tmp_path: Path, docs: list[dict[str, Any]]
) -> None:
    asked = prepare_task(
        tiny, "lm_eval:places", bounds(write_task(tmp_path, "places", docs, CHOICE))
    ).asked
    weight = tiny.model.get_submodule(tiny.layout.down.format(1)).weight
    kept = weight.detach().clone()
    try:
        weight.data[0, 0] = torch.inf
        with pytest.raises(NonFiniteError, match="while lm-eval asks it"):
            asked.ask(tiny)
    finally:
        weight.data.copy_(kept)


@pytest.mark.parametrize("own_code", [False, True])
def test_scores_are_cached_unless_they_depend_on_code_of_the_task(
    tiny: LoadedModel,
    tmp_path: Path,
    docs: list[dict[str, Any]],
    own_code: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "own.py").write_text("def text(doc):\n    return doc['prompt']\n")
    file = write_task(tmp_path, "places", docs, CHOICE)
    if own_code:
        file.write_text(file.read_text()[:-1] + ", doc_to_text: !function own.text}")
    asked: list[LoadedModel] = []
    put = under_test.Harness.ask

    def counted(self: under_test.Harness, loaded: LoadedModel) -> Any:
        asked.append(loaded)
        return put(self, loaded)

    monkeypatch.setattr(under_test.Harness, "ask", counted)
    wanted = {"lm_eval:places": bounds(file)}
    state = as_loaded(tiny, Cache(tmp_path / "cache"))
    first, again = (ask_abilities(state, wanted) for _ in range(2))
    assert len(asked) == (2 if own_code else 1)
    assert first.records == again.records
    assert measure_abilities(first, wanted, state)["lm_eval:places"].kept == 1

"""Abilities on tiny models, which know the facts of fixtures/world.jsonl and little else."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_eac.abilities import plain_text as text_abilities
from pytest_eac.abilities.by_generation import (
    Generations,
    Scored,
    _match,
    _number,
    _obeyed,
    _overlap,
    _variety,
)
from pytest_eac.abilities.by_likelihood import Choice, Choices
from pytest_eac.abilities.measure import ask_abilities, measure_abilities
from pytest_eac.abilities.plain_text import Drift, Perplexity, spread
from pytest_eac.abilities.tasks import prepare
from pytest_eac.cache.entries import Cache
from pytest_eac.errors import DataError, EditError, NonFiniteError, SettingsError
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.loading.load import load_model
from pytest_eac.lm.weights import restored
from pytest_eac.scoring.answers import force, generate
from pytest_eac.scoring.asker import as_loaded
from pytest_eac.scoring.perplexity import perplexity
from pytest_eac.spec import registry
from pytest_eac.spec.schema.abilities import AbilityBounds
from pytest_eac.text.spacing import as_continuation
from tests.conftest import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.records.run import Ability

FACTS = ("choices", "qa", "text", "prompt")


pytestmark = pytest.mark.usefixtures("_own_registry")


@pytest.fixture
def asked(tmp_path: Path, world_records: list[dict[str, Any]]) -> dict[str, AbilityBounds]:
    """Abilities on what the tiny models know, in the formats of the package's own data."""
    truths = sorted({record["truth"] for record in world_records})
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in FACTS}
    for index, record in enumerate(world_records):
        prompt, truth = record["prompt"].replace("{}", record["subject"]), record["truth"]
        wrong = [each for each in truths if each != truth][index % 5 : index % 5 + 3]
        options = [*wrong[: index % 4], truth, *wrong[index % 4 :]]
        choices = {"text": options, "label": list("ABCD")}
        answer = "ABCD"[index % 4]
        rows["choices"].append({"question": prompt, "choices": choices, "answerKey": answer})
        rows["qa"].append({"question": prompt, "answer": [truth]})
        rows["text"].append({"text": f"{prompt} {truth}."})
        rows["prompt"].append({"prompt": prompt})
    for name, each in rows.items():
        lines = "".join(json.dumps(row) + "\n" for row in each)
        (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")

    def on(name: str, **options: Any) -> AbilityBounds:
        return AbilityBounds(keep=0.7, data=str(tmp_path / f"{name}.jsonl"), **options)

    return {
        "reasoning": on("choices", template="{question}"),
        "qa": on("qa", template="{question}", shots=0),
        "generation": on("prompt"),
        "perplexity": on("text"),
        "drift": on("text"),
    }


def sentences(world_records: list[dict[str, Any]]) -> list[str]:
    """What the tiny models know, as texts: the same as in the file of ``asked``."""
    return [
        f"{record['prompt'].replace('{}', record['subject'])} {record['truth']}."
        for record in world_records
    ]


def wreck(loaded: LoadedModel) -> None:
    """Random noise on one matrix."""
    weight = find_module(loaded.model, loaded.layout.down.format(1)).get_parameter("weight")
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        weight.add_(40 * weight.std() * noise)


# On real models and data


def test_the_unedited_model_keeps_everything_and_42_items_leave_a_doubt(
    tiny: LoadedModel, asked: dict[str, AbilityBounds]
) -> None:
    abilities = ask_abilities(as_loaded(tiny), asked)
    again = measure_abilities(abilities, asked, as_loaded(tiny))
    assert again == abilities.records
    for name, ability in again.items():
        assert ability.kept == 1, name
        if name == "perplexity":  # nats have no range, so that no change says nothing of others
            assert (ability.kept_low, ability.kept_high) == (None, None)
        else:
            assert (ability.kept_low or 0) < 0.93 < 1.08 < (ability.kept_high or 0), name
        assert ability.value == ability.base
        assert ability.n == len(ability.scores) == 42
        assert ability.about.get("kl", 0.0) == 0.0


def test_noise_on_one_matrix_costs_every_ability(
    tiny_llama: LoadedModel, asked: dict[str, AbilityBounds]
) -> None:
    del asked["generation"]  # nothing is known of what it ought to say
    abilities = ask_abilities(as_loaded(tiny_llama), asked)
    assert all(ability.signal for ability in abilities.records.values())
    with restored(tiny_llama.model, [tiny_llama.layout.down.format(1)]):
        wreck(tiny_llama)
        wrecked = measure_abilities(abilities, asked, as_loaded(tiny_llama))
    for name, ability in wrecked.items():
        assert ability.kept is not None
        assert ability.kept < 0.7, name
        assert ability.kept_high is not None
        assert ability.kept_high < 1, name
        assert ability.base == abilities.records[name].value
    assert wrecked["drift"].about["kl"] > 0.1
    assert measure_abilities(abilities, asked, as_loaded(tiny_llama)) == abilities.records, (
        "the model is as it was"
    )


def test_what_an_edited_model_writes_is_read_by_the_unedited_one(
    tiny_llama: LoadedModel, asked: dict[str, AbilityBounds], world_records: list[dict[str, Any]]
) -> None:
    prompts = [each["prompt"].replace("{}", each["subject"]) for each in world_records]

    def read(texts: list[str]) -> float:
        """The perplexity of what stands behind the prompts, one text after the other."""
        nats, count = 0.0, 0
        for prompt, text in zip(prompts, texts, strict=True):
            start = len(tiny_llama.tokenizer(prompt)["input_ids"])
            ids = tiny_llama.tokenizer(f"{prompt} {text.strip()}")["input_ids"]
            found = log_probs(tiny_llama, ids)
            nats -= sum(float(found[at - 1, ids[at]]) for at in range(start, len(ids)))
            count += len(ids) - start
        return math.exp(nats / count)

    module = tiny_llama.layout.down.format(1)
    abilities = ask_abilities(as_loaded(tiny_llama), {"generation": asked["generation"]})
    own = generate(tiny_llama, prompts, tokens=48)
    before = abilities.records["generation"].about["perplexity_unedited"]
    assert before == pytest.approx(read(own), rel=1e-3)
    with restored(tiny_llama.model, [module]) as originals:
        wreck(tiny_llama)
        wrecked = find_module(tiny_llama.model, module).get_parameter("weight").clone()
        said = generate(tiny_llama, prompts, tokens=48)
        found = measure_abilities(
            abilities, ["generation"], as_loaded(tiny_llama).after(None, originals)
        )["generation"]
        now = find_module(tiny_llama.model, module).get_parameter("weight")
        assert torch.equal(now, wrecked), "the edited weights are back"
    assert found.about["perplexity_unedited"] == pytest.approx(read(said), rel=1e-3)
    assert found.about["perplexity_unedited"] > 5 * before


def test_only_the_items_asked_for_are_taken(
    tiny_llama: LoadedModel, asked: dict[str, AbilityBounds]
) -> None:
    def scores(**options: Any) -> tuple[float, ...]:
        bounds = asked["perplexity"].model_copy(update=options)
        return (
            ask_abilities(as_loaded(tiny_llama), {"perplexity": bounds})
            .records["perplexity"]
            .scores
        )

    whole = scores()
    assert scores(take=5) == pytest.approx(whole[:5], abs=1e-5)
    drawn = scores(take=5, seed=3)
    assert drawn == scores(take=5, seed=3) != scores(take=5, seed=4)
    with pytest.raises(DataError, match="found 42 items, expected take: 43"):
        scores(take=43)


def test_the_record_says_what_was_asked(
    tiny_llama: LoadedModel, asked: dict[str, AbilityBounds]
) -> None:
    nli = AbilityBounds(keep=0.7, template="{sentence2}", take=8)
    base = ask_abilities(as_loaded(tiny_llama), {"nli": nli, "drift": asked["drift"]}).records
    assert (base["nli"].template, base["nli"].data) == ("{sentence2}", "built-in nli.jsonl")
    assert (base["drift"].template, base["drift"].data) == (None, asked["drift"].data)
    assert base["nli"].sha256 != base["drift"].sha256
    assert (base["nli"].chance, base["nli"].majority) == (0.5, 0.5)
    assert (base["drift"].chance, base["drift"].majority) == (None, None)


def test_what_was_asked_once_is_found_in_the_cache_bit_for_bit(
    tiny_llama: LoadedModel,
    asked: dict[str, AbilityBounds],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def measured() -> tuple[dict[str, Ability], dict[str, Ability]]:
        state = as_loaded(tiny_llama, Cache(tmp_path / "cache"))
        abilities = ask_abilities(state, asked)
        edited = state.after("an update", {})
        return abilities.records, measure_abilities(abilities, asked, edited)

    first = measured()
    for kind in (Choices, Generations, Perplexity, Drift):
        monkeypatch.setattr(kind, "ask", None)
    assert measured() == first
    other = {**asked, "qa": asked["qa"].model_copy(update={"template": "Q: {question}"})}
    with pytest.raises(TypeError):
        ask_abilities(as_loaded(tiny_llama, Cache(tmp_path / "cache")), other)


def test_an_error_bears_the_name_of_the_ability(tiny_llama: LoadedModel) -> None:
    long = AbilityBounds(keep=0.7)
    with pytest.raises(EditError, match=r"ability 'nli': the prompt .* has \d+ tokens, but the mo"):
        ask_abilities(as_loaded(tiny_llama), {"nli": long})


# Against slow twins


def log_probs(loaded: LoadedModel, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        logits = loaded.model(input_ids=torch.tensor([ids])).logits[0]
    found: torch.Tensor = logits.double().log_softmax(dim=-1)
    return found


def test_the_likeliest_candidate_is_that_of_each_alone(tiny: LoadedModel) -> None:
    choices = tuple(
        Choice(prompt=prompt, candidates=("the old cat", "Esselwater", "Port Vessin"), right=right)
        for prompt in ("Odalys Ardwick was born in", "Sabeth Grennock was born in", "It was")
        for right in range(3)
    )
    expected = []
    for each in choices:
        means = []
        for candidate in each.candidates:
            start = tiny.tokenizer(each.prompt)["input_ids"]
            ids = tiny.tokenizer(f"{each.prompt} {candidate}")["input_ids"]
            found = log_probs(tiny, ids)
            places = range(len(start), len(ids))
            means.append(sum(float(found[at - 1, ids[at]]) for at in places) / len(places))
        expected.append(float(max(range(3), key=means.__getitem__) == each.right))
    assert Choices(choices=choices).ask(tiny).scores == tuple(expected)
    assert sum(expected) == 3


def test_calibration_takes_off_what_an_empty_item_makes_likely(tiny_llama: LoadedModel) -> None:
    def choices(*, calibrate: bool) -> Choices:
        bounds = AbilityBounds(keep=1, template="It is {sentence}", take=20, calibrate=calibrate)
        asked = prepare(tiny_llama, "sentiment", bounds).asked
        assert isinstance(asked, Choices)
        return asked

    plain, calibrated = choices(calibrate=False), choices(calibrate=True)
    (first, *_) = plain.choices
    empty = [
        each.log_likelihood
        for each in force(
            tiny_llama, [("It is ", as_continuation("It is ", c)) for c in first.candidates]
        )
    ]
    assert plain.prior is None
    assert calibrated.prior == pytest.approx(empty)
    assert calibrated.items != plain.items, "they have places of their own in the cache"
    expected = []
    for each in plain.choices:
        pairs = [
            (each.prompt, as_continuation(each.prompt, candidate)) for candidate in each.candidates
        ]
        margins = [
            forced.log_likelihood - common
            for forced, common in zip(force(tiny_llama, pairs), empty, strict=True)
        ]
        expected.append(float(margins[each.right] == max(margins)))
    assert calibrated.ask(tiny_llama).scores == tuple(expected)
    assert plain.ask(tiny_llama).scores != tuple(expected)


def test_what_the_commonest_answer_scores_is_no_signal() -> None:
    choices = Choices(
        choices=tuple(
            Choice(prompt="x", candidates=("a", "b"), right=int(index < 10)) for index in range(40)
        )
    )
    assert not choices.signal([1.0] * 30 + [0.0] * 10), "as often as always saying a"
    assert choices.signal([1.0] * 38 + [0.0] * 2)


def test_a_text_without_spaces_has_words_to_repeat() -> None:
    varied, looped = (_variety(text, None) for text in ("東京は大きい町です", "町です町です町です"))
    assert varied.score == 1.0
    assert looped.score == 0.0


@pytest.mark.parametrize("answer", ["", "  \n "])
@pytest.mark.parametrize(
    ("score", "reference"),
    [(_match, ["x"]), (_overlap, "x"), (_number, "3"), (_obeyed, []), (_variety, None)],
)
def test_an_answer_with_nothing_in_it_has_no_score(score: Any, reference: Any, answer: str) -> None:
    assert score(answer, reference).score is None


@pytest.mark.parametrize(
    ("score", "reference", "answer"),
    [(_number, "3", "three"), (_variety, None, "word")],
)
def test_an_answer_without_what_is_scored_has_no_score(
    score: Any, reference: Any, answer: str
) -> None:
    assert score(answer, reference).score is None


def test_chance_and_majority_are_those_of_the_items() -> None:
    choices = Choices(
        choices=tuple(
            Choice(prompt="x", candidates=("a",) * count, right=right)
            for count, right in ((2, 1), (4, 1), (4, 0), (2, 1))
        )
    )
    assert choices.chance == (0.5 + 0.25 + 0.25 + 0.5) / 4
    assert choices.majority == 0.75


def test_only_new_text_is_scored_and_what_cannot_be_is_counted(tiny: LoadedModel) -> None:
    prompts = ("Odalys Ardwick was born in", "Sabeth Grennock was born in", "It is late")
    heard = []

    def score(answer: str, reference: str) -> Scored:
        heard.append(answer)
        if reference == "nothing":
            return Scored(score=None)
        return Scored(score=float(reference in answer), about={"length": float(len(answer))})

    generations = Generations(
        prompts=prompts,
        references=("Esselwater", "nothing", "Odalys"),
        score=score,
        tokens=6,
    )
    replies = generations.ask(tiny)
    assert heard == [generate(tiny, [prompt], tokens=6)[0] for prompt in prompts]
    assert replies.scores == (1.0, 0.0, 0.0)
    assert replies.unparsable == 1
    assert replies.about == {"length": (len(heard[0]) + len(heard[2])) / 2}


def test_an_answer_ends_where_a_further_example_would_begin(tiny: LoadedModel) -> None:
    (said,) = generate(tiny, ["Odalys Ardwick was born in"], tokens=9)
    stop = said.strip()[2:4]
    heard = []

    def score(answer: str, _: None) -> Scored:
        heard.append(answer)
        return Scored(score=1.0)

    for until in (stop, None):
        Generations(
            prompts=("Odalys Ardwick was born in",),
            references=(None,),
            score=score,
            tokens=9,
            until=until,
        ).ask(tiny)
    assert heard == [said.lstrip().partition(stop)[0], said]


def test_perplexity_is_that_of_the_texts_and_what_is_kept_its_inverse_ratio(
    tiny: LoadedModel, asked: dict[str, AbilityBounds], world_records: list[dict[str, Any]]
) -> None:
    texts = sentences(world_records)
    abilities = ask_abilities(as_loaded(tiny), {"perplexity": asked["perplexity"]})
    before = perplexity(tiny, texts)
    with restored(tiny.model, [tiny.layout.down.format(1)]):
        wreck(tiny)
        after = perplexity(tiny, texts)
        found = measure_abilities(abilities, ["perplexity"], as_loaded(tiny))["perplexity"]
    assert found.base == pytest.approx(before, rel=1e-6)
    assert found.value == pytest.approx(after, rel=1e-6)
    assert found.kept == pytest.approx(before / after, rel=1e-6)
    assert found.low is not None
    assert found.high is not None
    assert found.low < after < found.high


def test_a_perplexity_that_is_no_number_is_an_error() -> None:
    only_an_end = [-680.0, -700.0, -680.0, -700.0, -640.0, -705.0]
    for scores in ([-800.0, -900.0], [-692.0, -692.0], only_an_end):
        with pytest.raises(NonFiniteError, match="too large"):
            Perplexity(rows=((1, 2),) * len(scores)).value(scores)
    assert Perplexity(rows=((1, 2), (1, 2))).value([-600.0, -650.0]).value > 1e260


def test_drift_is_the_agreement_and_the_divergence_of_every_place(
    tiny: LoadedModel, asked: dict[str, AbilityBounds], world_records: list[dict[str, Any]]
) -> None:
    texts = sentences(world_records)
    rows = [tiny.tokenizer(text)["input_ids"] for text in texts]
    abilities = ask_abilities(as_loaded(tiny), {"drift": asked["drift"]})
    before = [log_probs(tiny, ids)[:-1] for ids in rows]
    with restored(tiny.model, [tiny.layout.down.format(1)]):
        wreck(tiny)
        now = [log_probs(tiny, ids)[:-1] for ids in rows]
        found = measure_abilities(abilities, ["drift"], as_loaded(tiny))["drift"]
    same = [
        (a.argmax(-1) == b.argmax(-1)).double().mean() for a, b in zip(before, now, strict=True)
    ]
    divergence = [(a.exp() * (a - b)).sum(-1) for a, b in zip(before, now, strict=True)]
    assert found.scores == pytest.approx([float(each) for each in same])
    assert found.about["kl"] == pytest.approx(float(torch.cat(divergence).mean()), rel=1e-4)


def test_drift_holds_no_more_than_it_may(
    tiny_llama: LoadedModel, asked: dict[str, AbilityBounds], monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = tiny_llama.shape["vocab_size"]
    monkeypatch.setattr(text_abilities, "_HELD_BYTES", 4 * vocabulary * 100)
    abilities = ask_abilities(as_loaded(tiny_llama), {"drift": asked["drift"]})
    asked_of = abilities.prepared["drift"].asked
    assert isinstance(asked_of, Drift)
    assert asked_of.before.shape[0] <= 100
    assert abilities.records["drift"].n == 42
    assert measure_abilities(abilities, ["drift"], as_loaded(tiny_llama)) == abilities.records


@pytest.mark.parametrize(
    ("lengths", "room", "places"),
    [
        ([3, 2], 9, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]),
        ([10, 10], 4, [(0, 2), (0, 7), (1, 2), (1, 7)]),
        ([10, 1, 10], 3, [(0, 5), (1, 0), (2, 5)]),
        ([10, 10, 10], 2, [(0, 5), (1, 5)]),
    ],
)
def test_places_are_spread_evenly(
    lengths: list[int], room: int, places: list[tuple[int, int]]
) -> None:
    assert list(spread(lengths, room)) == places


def test_a_text_of_one_token_cannot_be_predicted(tmp_path: Path) -> None:
    loaded = load_model(str(FIXTURES / "tiny-gpt2"))  # no start token stands before the text
    path = tmp_path / "short.jsonl"
    path.write_text('{"text": "a"}\n')
    with pytest.raises(DataError, match=r"short\.jsonl:1: text: found 1 token"):
        ask_abilities(as_loaded(loaded), {"perplexity": AbilityBounds(keep=1, data=str(path))})


# Of other packages


def brought(loaded: LoadedModel, *results: Any) -> tuple[Ability, Ability]:
    said = iter(results)
    registry.register(registry.ABILITIES, "mine", lambda _: next(said))
    abilities = ask_abilities(as_loaded(loaded), {"mine": AbilityBounds(keep=0.7)})
    return abilities.records["mine"], measure_abilities(abilities, ["mine"], as_loaded(loaded))[
        "mine"
    ]


def test_scores_of_another_package_are_held_against_the_unedited_ones(
    tiny_llama: LoadedModel,
) -> None:
    base, edited = brought(tiny_llama, [1, 1, True, 0.5], torch.tensor([1, 0, 0.5, 0.25]))
    assert (base.value, base.kept, base.n) == (0.875, 1.0, 4)
    assert (edited.value, edited.base) == (0.4375, 0.875)
    assert edited.kept == 0.5
    assert (edited.template, edited.data, edited.sha256) == (None, None, None)


@pytest.mark.parametrize("result", [None, 0.5, [], [2.0], [math.nan], ["1"], "text"])
def test_anything_but_scores_of_another_package_is_refused(
    tiny_llama: LoadedModel, result: Any
) -> None:
    with pytest.raises(SettingsError, match="expected a score between 0 and 1 for"):
        brought(tiny_llama, result)


def test_as_many_scores_are_expected_as_for_the_unedited_model(tiny_llama: LoadedModel) -> None:
    with pytest.raises(SettingsError, match="ability 'mine': found 1 scores, expected 2"):
        brought(tiny_llama, [1.0, 1.0], [1.0])


def test_an_ability_that_cannot_be_called_is_refused(tiny_llama: LoadedModel) -> None:
    registry.register(registry.ABILITIES, "mine", 3)
    with pytest.raises(SettingsError, match="ability 'mine' is a int, expected a callable"):
        ask_abilities(as_loaded(tiny_llama), {"mine": AbilityBounds(keep=1)})

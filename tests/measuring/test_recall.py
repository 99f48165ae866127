from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

import pytest
import torch

from pytest_eac.lm.layout import find_module
from pytest_eac.lm.tokens import encode
from pytest_eac.lm.weights import restored
from pytest_eac.measuring.metrics import efficacy, generalization, locality, retention
from pytest_eac.measuring.unedited import rearrange
from pytest_eac.scoring.answers import force, generate, generation_length
from pytest_eac.scoring.asker import Question
from pytest_eac.spec.edits import Edit, Neighbor
from pytest_eac.text.spacing import starts_with
from tests.measuring.asking import after, answer, ask, missed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.measuring.recall import EditedModel
    from pytest_eac.measuring.unedited import UneditedAnswers
    from pytest_eac.scoring.asker import Answer
    from pytest_eac.spec.schema.spec_file import Match

MATCHES: list[Match] = ["accuracy", "success", "generation"]


@pytest.fixture
def wrecked(tiny: LoadedModel) -> Iterator[LoadedModel]:
    """The same model with noise where its facts were; restored afterwards."""
    path = tiny.layout.down.format(0)
    with torch.no_grad(), restored(tiny.model, [path]):
        yield tiny


def _wreck(loaded: LoadedModel, *, strength: float = 3.0) -> None:
    weight = find_module(loaded.model, loaded.layout.down.format(0)).weight
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    with torch.no_grad():
        weight += strength * noise  # type: ignore[operator]


def _asked_right_after(recall: UneditedAnswers, given: list[Answer]) -> EditedModel:
    return replace(after(recall, len(given)), right_after=given)


def _said(
    recall: UneditedAnswers, edit: Edit, prompt: str, answer: str, rival: str
) -> tuple[float, tuple[int, ...] | str | bool]:
    """The slow twin: one question alone, and its score by the definition."""
    loaded = recall.asker.state.loaded
    if recall.asker.match == "generation":
        (text,) = generate(loaded, [prompt], tokens=recall.asker.length)
        return float(starts_with(text, answer)), text
    one, other = (
        force(loaded, [(prompt, edit.after(prompt, each))])[0] for each in (answer, rival)
    )
    if recall.asker.match == "accuracy":
        hits = [a == b for a, b in zip(one.wanted, one.predicted, strict=True)]
        return sum(hits) / len(hits), one.predicted
    better = one.log_likelihood > other.log_likelihood
    return float(better), better


@pytest.mark.parametrize("match", MATCHES)
def test_metrics_are_means_of_means_of_questions_asked_one_by_one(
    wrecked: LoadedModel, world: tuple[Edit, ...], match: Match
) -> None:
    edits = tuple(
        replace(
            edit,
            subject=f"Yy{index}",
            prompt=f"Yy{index}",
            start=0,
            target=edit.truth or "",
            truth=edit.target,
            paraphrases=(edit.prompt, f"Zz{index}"),
        )
        for index, edit in enumerate(world[:8])
    )
    recall = ask(wrecked, edits, match)

    def near(edit: Edit) -> list[tuple[int, ...] | str | bool]:
        return [
            _said(recall, edit, each.prompt, each.answer or "", edit.target)[1]
            for each in edit.neighborhood
            if each.prompt not in {other.prompt for other in world[:8]}
            and (match != "success" or each.answer != edit.target)
        ]

    def same(one: object, other: object) -> float:
        if not isinstance(one, tuple) or not isinstance(other, tuple):
            return float(one == other)
        return fmean(a == b for a, b in zip(one, other, strict=True))

    def held(edit: Edit, prompt: str) -> float:
        return _said(recall, edit, prompt, edit.target, edit.truth or "")[0]

    before = [near(edit) for edit in edits]
    counts = [held(edit, edit.prompt) < 1 for edit in edits]
    _wreck(wrecked, strength=1.0 if match == "success" else 0.1)
    retained: list[float | None] = []
    general: list[float | None] = []
    local: list[float | None] = []
    for edit, said, count in zip(edits, before, counts, strict=True):
        retained.append(held(edit, edit.prompt) if count else None)
        general.append(fmean(held(edit, text) for text in edit.paraphrases) if count else None)
        pairs = zip(said, near(edit), strict=True)
        local.append(fmean(same(*pair) for pair in pairs) if said else None)
    edited = after(recall, len(edits))
    assert list(retention(edited).scores) == pytest.approx(retained)
    assert list(generalization(edited).scores) == pytest.approx(general)
    assert list(locality(edited).scores) == pytest.approx(local)
    for scores in (general, local):
        assert 0 < fmean(each for each in scores if each is not None) < 1


@pytest.mark.parametrize("match", MATCHES)
def test_an_unedited_model_keeps_every_neighbour_and_knows_every_truth(
    tiny: LoadedModel, world: tuple[Edit, ...], match: Match
) -> None:
    recall = ask(tiny, world, match)
    assert locality(after(recall, len(world))).value == 1.0
    assert recall.known.value is not None
    assert recall.known.value >= 0.95
    assert recall.known.n == len(world)


@pytest.mark.parametrize("match", MATCHES)
def test_an_unedited_model_is_local_at_every_checkpoint(
    tiny: LoadedModel, world: tuple[Edit, ...], match: Match
) -> None:
    recall = ask(tiny, world[::3], match)
    values = [locality(after(recall, count)).value for count in range(1, len(world[::3]) + 1)]
    assert values == [1.0] * len(values)


def test_a_paraphrase_that_a_later_edit_asks_counts_for_the_later_one(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    first = replace(world[0], paraphrases=("One prompt", "Another prompt"))
    second = replace(world[1], subject="Another", prompt="Another prompt", paraphrases=())
    recall = ask(tiny, (first, second), "accuracy")
    alone, both = (generalization(after(recall, count)) for count in (1, 2))
    assert missed(recall, alone) == ["One prompt", "Another prompt"]
    assert missed(recall, both) == ["One prompt"]


@pytest.mark.parametrize("match", MATCHES)
def test_a_wrecked_model_loses_its_neighbours(
    wrecked: LoadedModel, world: tuple[Edit, ...], match: Match
) -> None:
    recall = ask(wrecked, world, match)
    _wreck(wrecked)
    found = locality(after(recall, len(world)))
    assert found.value is not None
    assert found.value < 0.9
    assert found.misses


def test_the_unedited_models_answer_is_the_reference_and_not_the_truth(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    """A neighbour whose answer the model never knew is unchanged, hence local."""
    wrong = replace(
        world[0], neighborhood=(Neighbor(prompt=world[1].prompt, answer=world[1].target),)
    )
    recall = ask(tiny, (wrong,), "accuracy")
    assert locality(after(recall, 1)).value == 1.0


def test_a_neighbour_without_an_answer_is_held_to_the_models_own(
    wrecked: LoadedModel, world: tuple[Edit, ...]
) -> None:
    prompts = [edit.prompt for edit in world[1:9]]
    edit = replace(
        world[0], neighborhood=tuple(Neighbor(prompt=prompt, answer=None) for prompt in prompts)
    )
    recall = ask(wrecked, (edit,), "accuracy")
    assert locality(after(recall, 1)).value == 1.0
    _wreck(wrecked)
    assert locality(after(recall, 1)).value != 1.0


def test_a_neighbour_that_an_edit_asks_about_is_left_out(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    first = replace(
        world[0], neighborhood=(Neighbor(prompt=world[1].prompt, answer=world[1].truth),)
    )
    second = replace(world[1], neighborhood=())
    recall = ask(tiny, (first, second), "accuracy")
    assert locality(after(recall, 1)).n == 1
    assert locality(after(recall, 2)).n == 0
    assert locality(after(recall, 2)).value is None


def test_an_overwritten_edit_counts_until_it_is_overwritten(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    again = replace(world[0], target=world[0].truth or "")
    recall = ask(tiny, (world[0], world[1], again), "accuracy")
    assert recall.questions.superseded == (2, None, None)
    assert retention(after(recall, 2)).n == 2
    end = retention(after(recall, 3))
    assert end.scores[0] is None
    assert end.n == 2
    # The later edit asks for the truth, which the unedited model gives.
    assert end.scores[2] == 1.0


def test_a_miss_says_what_was_asked_expected_and_got(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    recall = ask(tiny, world[:1], "accuracy")
    (miss,) = retention(after(recall, 1)).misses
    assert miss.score < 1
    assert miss.edit == 0
    assert recall.records[0].asked(miss) == (world[0].prompt, world[0].target)
    assert miss.got != world[0].target


def test_what_came_instead_is_what_the_model_writes_by_itself(
    wrecked: LoadedModel, world: tuple[Edit, ...]
) -> None:
    """Teacher forcing would tell tokens after the target's own, which the model does not write."""
    recall = ask(wrecked, world, "accuracy")
    length = generation_length(
        wrecked,
        [
            *(edit.ending for edit in world),
            *(edit.after(edit.prompt, edit.truth or ".") for edit in world),
            *(
                edit.after(near.prompt, near.answer or ".")
                for edit in world
                for near in edit.neighborhood
            ),
        ],
    )

    def wrote(prompts: list[str]) -> list[str]:
        return [generate(wrecked, [each], tokens=length)[0].strip() for each in prompts]

    before = wrote([edit.prompt for edit in world])
    assert list(recall.before) == before
    _wreck(wrecked)
    for measured in (
        retention(after(recall, len(world))),
        generalization(after(recall, len(world))),
    ):
        prompts = missed(recall, measured)
        assert len(prompts) > len(world) / 2
        assert [miss.got for miss in measured.misses] == wrote(prompts)
        targets = [world[miss.edit].target for miss in measured.misses]
        assert not any(map(starts_with, [miss.got for miss in measured.misses], targets))
    assert list(recall.before) == before, "of the model before the edits"
    few = rearrange(recall, (world[3], world[1], world[3]))
    assert list(few.before) == [before[3], before[1], before[3]]


def test_an_edits_score_is_the_mean_over_its_paraphrases(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    """One paraphrase asks for the truth (right), one for something else (wrong): one half."""
    edit = replace(
        world[0],
        subject="Yy",
        prompt="Yy",
        target=world[0].truth or "",
        paraphrases=(world[0].prompt, "Zz zz"),
    )
    general = generalization(after(ask(tiny, (edit,), "generation"), 1))
    assert general.scores == (0.5,)
    assert general.n == 1
    assert len(general.misses) == 1


@pytest.mark.parametrize("match", MATCHES)
def test_an_edit_that_the_unedited_model_holds_is_counted_apart(
    tiny: LoadedModel, world: tuple[Edit, ...], match: Match
) -> None:
    truth, target = world[0].truth or "", world[0].target
    held = replace(world[0], target=truth, truth=target)
    recall = ask(tiny, (held, world[1]), match)
    assert recall.excluded == ("already held", None)
    assert [edit.excluded for edit in recall.records] == ["already held", None]
    given = [answer(recall, index) for index in (0, 1)]
    assert given[0].score == 1.0
    right_after = efficacy(_asked_right_after(recall, given))
    assert right_after.scores == (None, given[1].score)
    assert retention(after(recall, 2)).n == generalization(after(recall, 2)).n == right_after.n == 1
    assert recall.known.n == locality(after(recall, 2)).n == 2
    # What an earlier edit is to change can be put back: the second edit is a real one.
    back = rearrange(recall, (world[0], held))
    assert back.excluded == (None, None)
    assert rearrange(recall, (held, held)).excluded == ("already held", "already held")


@pytest.mark.parametrize("written", [" {} ", "{}"])
def test_success_of_a_target_that_is_the_truth_is_counted_apart(
    tiny: LoadedModel, world: tuple[Edit, ...], written: str
) -> None:
    same = replace(world[0], target=world[0].truth or "", truth=written.format(world[0].truth))
    recall = ask(tiny, (same, world[1]), "success")
    assert recall.excluded == ("target is truth", None)
    given = answer(recall, 0)
    assert given.score == 0.0
    right_after = efficacy(_asked_right_after(recall, [given, replace(given, score=1.0)]))
    assert (right_after.misses, right_after.scores) == ((), (None, 1.0))
    assert retention(after(recall, 2)).scores[0] is None
    assert recall.known.scores[0] is None
    assert ask(tiny, (same,), "accuracy").excluded == ("already held",)


def test_success_leaves_a_neighbour_out_whose_answer_is_the_target(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    near = (Neighbor(prompt=world[3].prompt, answer=world[0].target),)
    edit = replace(world[0], neighborhood=near)
    assert locality(after(ask(tiny, (edit,), "success"), 1)).n == 0
    assert locality(after(ask(tiny, (edit,), "accuracy"), 1)).n == 1


def test_a_paraphrase_that_is_the_prompt_says_nothing_of_generalization(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    edit = replace(world[0], paraphrases=(world[0].prompt.upper(), "Zz zz"))
    recall = ask(tiny, (edit,), "accuracy")
    general = generalization(after(recall, 1))
    assert missed(recall, general) == ["Zz zz"]


def test_success_compares_the_target_with_the_truth(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    swapped = replace(world[0], target=world[0].truth or "", truth=world[0].target)
    assert answer(ask(tiny, world[:1], "success"), 0).score == 0.0
    assert answer(ask(tiny, (swapped,), "success"), 0).score == 1.0


@torch.no_grad()
def test_a_neighbor_without_an_answer_counts_by_three_tokens_of_the_models_own(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    prompts = [each.prompt for edit in world for each in edit.neighborhood][:8]
    edit = replace(
        world[0], neighborhood=tuple(Neighbor(prompt=each, answer=None) for each in prompts)
    )
    found = ask(tiny, (edit,), "accuracy")
    lengths = []
    for prompt in prompts:
        start = ids = list(encode(tiny.tokenizer, prompt))
        for _ in range(3):  # one token a pass
            ids = [*ids, int(tiny.model(torch.tensor([ids])).logits[0, -1].argmax())]
        own = tiny.tokenizer.decode(ids[len(start) :], skip_special_tokens=True).strip()
        assert found.own[prompt].strip() == own
        lengths.append(len(encode(tiny.tokenizer, " " + own)))
    assert max(lengths) > 1, "one token of them would not do"


def test_success_compares_means_over_tokens_whatever_the_lengths_of_the_two_answers(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    answers = sorted({edit.target for edit in world} | {edit.truth or "" for edit in world})
    prompt, edit = world[0].prompt, world[0]
    forced = {text: force(tiny, [(prompt, edit.after(prompt, text))])[0] for text in answers}
    mean = {text: each.log_likelihood for text, each in forced.items()}
    total = {text: each.log_likelihood * len(each.wanted) for text, each in forced.items()}
    pairs = [
        (one, other)
        for one in answers
        for other in answers
        if abs(mean[one] - mean[other]) > 1e-3 < abs(mean[one] - total[other])
    ]
    asker = replace(ask(tiny, world[:1], "success").asker, match="success")
    questions = [
        Question(prompt=prompt, answer=edit.after(prompt, one), rival=edit.after(prompt, other))
        for one, other in pairs
    ]
    found = [bool(each.score) for each in asker.ask(questions)]
    assert found == [mean[one] > mean[other] for one, other in pairs]
    assert found != [mean[one] > total[other] for one, other in pairs]
    assert found != [total[one] > total[other] for one, other in pairs]

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

from pytest_eac.errors import NonFiniteError
from pytest_eac.lm.weights import restored
from pytest_eac.scoring.perplexity import continued_perplexity, perplexity

if TYPE_CHECKING:
    from pytest_eac.lm.loading.load import LoadedModel

TEXTS = [
    "Odalys Ardwick was born in Esselwater.",
    "The bell rang. " * 5,
    "It is late",
    "a",
    "",
    *(f"The old cat stayed there {'and waited ' * count}." for count in range(9)),
]


def one_by_one(loaded: LoadedModel, texts: list[str]) -> float:
    """Each text alone, each token after its first asked for by itself."""
    losses = []
    for text in texts:
        ids = loaded.tokenizer(text)["input_ids"]
        if len(ids) > 1:
            with torch.no_grad():
                logits = loaded.model(input_ids=torch.tensor([ids])).logits[0].double()
            chances = logits.softmax(dim=-1)
            losses += [-math.log(float(chances[at, ids[at + 1]])) for at in range(len(ids) - 1)]
    return math.exp(sum(losses) / len(losses))


def test_it_is_the_mean_over_tokens_whatever_the_batches(tiny: LoadedModel) -> None:
    expected = one_by_one(tiny, TEXTS)
    assert perplexity(tiny, TEXTS) == pytest.approx(expected, rel=1e-4)
    assert perplexity(tiny, TEXTS[::-1]) == pytest.approx(expected, rel=1e-4)


def test_a_text_that_the_model_knows_is_less_perplexing(tiny: LoadedModel) -> None:
    known, other = (
        "Odalys Ardwick was born in Esselwater.",
        "Esselwater born. in was Ardwick Odalys",
    )
    assert 4 * perplexity(tiny, [known]) < perplexity(tiny, [other])


def test_a_model_that_knows_nothing_is_as_perplexed_as_its_vocabulary_is_large(
    tiny_llama: LoadedModel,
) -> None:
    with torch.no_grad(), restored(tiny_llama.model, ["lm_head"]):
        tiny_llama.model.lm_head.weight.zero_()
        assert perplexity(tiny_llama, TEXTS) == pytest.approx(760, rel=1e-5)


def test_what_no_number_can_hold_is_an_error(tiny_llama: LoadedModel) -> None:
    with torch.no_grad(), restored(tiny_llama.model, ["lm_head"]):
        tiny_llama.model.lm_head.weight.mul_(1e6)
        with pytest.raises(NonFiniteError, match="the perplexity is too large for a number"):
            perplexity(tiny_llama, TEXTS)
        with pytest.raises(NonFiniteError, match="the perplexity is too large for a number"):
            continued_perplexity(tiny_llama, [("It is", "late and dark and cold")])


def test_texts_of_a_single_token_cannot_be_measured(tiny: LoadedModel) -> None:
    with pytest.raises(ValueError, match="no text of two tokens or more"):
        perplexity(tiny, ["", ""])


def test_a_model_that_is_broken_is_an_error_of_its_own(tiny_llama: LoadedModel) -> None:
    with torch.no_grad(), restored(tiny_llama.model, ["lm_head"]):
        tiny_llama.model.lm_head.weight[3] = float("nan")
        with pytest.raises(NonFiniteError, match="logits are not finite"):
            perplexity(tiny_llama, ["It is late"])

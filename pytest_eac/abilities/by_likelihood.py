"""Abilities asked by likelihood: which of the candidates does the model find likeliest?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from math import exp
from typing import Any

from pytest_eac.abilities.asking import Asked, Replies
from pytest_eac.abilities.data_items import Row, label, text, texts
from pytest_eac.abilities.templates import Template
from pytest_eac.errors import DataError
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.scoring.answers import force
from pytest_eac.text.spacing import as_continuation


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An item: a prompt, the candidates to go on with, and the index of the right one."""

    prompt: str
    candidates: tuple[str, ...]
    right: int


@dataclass(frozen=True, kw_only=True)
class Choices(Asked):
    """Items to choose in; the score is 1 where the right candidate is the likeliest, else 0.

    Likelihoods are means over a candidate's tokens, so that a longer one is at no disadvantage;
    where all have as many tokens, the order is that of the sums.

    Attributes:
        choices: the items.
        prior: what is taken off each candidate's likelihood, the same for all items: its likelihood
            to the unedited model where nothing is asked. ``None`` takes nothing off.
        graded: whether the score is the right candidate's probability instead: its share of the
            sum of ``exp(likelihood)`` over the candidates.
    """

    choices: tuple[Choice, ...]
    prior: tuple[float, ...] | None = None
    graded: bool = False

    @property
    def chance(self) -> float:
        """The score of guessing."""
        return sum(1 / len(each.candidates) for each in self.choices) / len(self.choices)

    @property
    def majority(self) -> float:
        """The score of choosing the same place always."""
        return max(Counter(each.right for each in self.choices).values()) / len(self.choices)

    @property
    def items(self) -> Sequence[Any]:
        """Prompt, candidates and the right one of each item, and what is taken off."""
        scored = ("probability",) if self.graded else ()
        return [(*astuple(each), self.prior, *scored) for each in self.choices]

    def ask(self, loaded: LoadedModel) -> Replies:
        """Score all candidates in one call: each goes on from one reading of its prompt."""
        pairs = [
            (each.prompt, as_continuation(each.prompt, text))
            for each in self.choices
            for text in each.candidates
        ]
        likely = iter([forced.log_likelihood for forced in force(loaded, pairs)])
        scores = []
        for each in self.choices:
            prior = self.prior or (0.0,) * len(each.candidates)
            found = [next(likely) - common for common in prior]
            if self.graded:
                scores.append(1 / sum(exp(one - found[each.right]) for one in found))
            else:
                scores.append(float(found.index(max(found)) == each.right))
        return Replies(scores=tuple(scores))


def multiple_choice(
    loaded: LoadedModel, rows: Sequence[Row], template: Template, *, graded: bool = False
) -> Choices:
    """Ask which of an item's own candidates is right (ARC's format)."""
    return Choices(choices=tuple(_choice(loaded, row, template) for row in rows), graded=graded)


def _labelled(
    loaded: LoadedModel,
    rows: Sequence[Row],
    template: Template,
    *,
    known: Mapping[str, int],
    graded: bool = False,
) -> Choices:
    choices = tuple(
        Choice(
            prompt=template.ask(loaded, row),
            candidates=template.candidates,
            right=label(row, known),
        )
        for row in rows
    )
    return Choices(choices=choices, prior=_prior(loaded, template), graded=graded)


entailment = partial(_labelled, known={"entailment": 0, "not_entailment": 1})
"""Asks whether the second sentence follows from the first (RTE's format)."""
sentiment = partial(_labelled, known={"negative": 0, "positive": 1})
"""Asks whether a sentence is favourable (SST-2's format)."""

multiple_choice_probability = partial(multiple_choice, graded=True)
entailment_probability = partial(entailment, graded=True)
sentiment_probability = partial(sentiment, graded=True)


def _prior(loaded: LoadedModel, template: Template) -> tuple[float, ...] | None:
    """Return the candidates' likelihoods where the item is empty, if the template asks for it.

    Source: contextual calibration, Zhao et al. 2021 ("Calibrate before use"). The model is the
    unedited one: recomputed on an edited one it would hide an edit that makes one label likelier
    whatever is asked.
    """
    if not template.calibrate:
        return None
    blank = template.blank(loaded)
    found = force(loaded, [(blank, as_continuation(blank, text)) for text in template.candidates])
    return tuple(each.log_likelihood for each in found)


def _choice(loaded: LoadedModel, row: Row, template: Template) -> Choice:
    choices = row.fields.get("choices")
    if not isinstance(choices, Mapping):
        raise DataError(
            f"{row.origin}: choices: found {str(choices)[:60]!r}, expected a mapping with "
            "the lists text and label"
        )
    inner = Row(fields=choices, origin=f"{row.origin}: choices")
    candidates, letters, key = texts(inner, "text"), texts(inner, "label"), text(row, "answerKey")
    if key not in letters or len(letters) != len(candidates):
        raise DataError(
            f"{row.origin}: answerKey: found {key!r} for {len(candidates)} choices labelled "
            f"{', '.join(letters)}; expected a label for each choice, and the key among them"
        )
    return Choice(prompt=template.ask(loaded, row), candidates=candidates, right=letters.index(key))

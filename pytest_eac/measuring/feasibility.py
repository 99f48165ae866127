"""Checks before the first edit that all edits of a spec can be made and scored on a model.

Only the tokenizer is used, so this costs next to nothing. All edits that fail are in one error.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from pytest_eac.editing.prompts import prepare
from pytest_eac.errors import EditError, ModelError
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.tokens import continuation, encode
from pytest_eac.measuring.probes import every_question
from pytest_eac.scoring.answers import MOST_EXTRA_TOKENS
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.hyperparameters import resolve_settings
from pytest_eac.spec.spec import Spec, SpecMethod
from pytest_eac.text.spacing import Continuation

_SHOWN = 10


def require_possible(loaded: LoadedModel, spec: Spec, method: SpecMethod) -> None:
    """Raise one error for all edits of a spec that cannot be made or scored on a model.

    Prompts are tried alone and in the contexts that the method's settings name.

    Args:
        loaded: the model; it is not run.
        spec: the edits, and how they are scored.
        method: one of the spec's methods.

    Raises:
        EditError: a subject that is not found among the tokens or has none of its own, an answer
            without tokens, or more tokens than the model takes.
        SettingsError: the method lacks a hyperparameter for this model.
    """
    texts = resolve_settings(method.choice, loaded.shape).contexts.texts or ()
    asked = _ScoredTexts(loaded, spec)

    def troubles(edit: Edit) -> Iterator[str]:
        made = list(_trouble(lambda: prepare(loaded, edit, ("{}", *texts))))
        yield from made
        yield from asked.troubles(edit, prompt=not made)

    _refuse(spec.edits, troubles)


def require_room(loaded: LoadedModel, spec: Spec, contexts: tuple[str, ...]) -> None:
    """Raise one error for all edits of a spec that are too long in one of the contexts.

    Raises:
        EditError: as for :func:`require_possible`.
    """
    _refuse(spec.edits, lambda edit: _trouble(lambda: prepare(loaded, edit, contexts)))


def require_askable(loaded: LoadedModel, spec: Spec) -> None:
    """Raise one error for all edits of a spec that cannot be scored on a model.

    Raises:
        EditError: an answer without tokens, or more tokens than the model takes.
    """
    _refuse(spec.edits, _ScoredTexts(loaded, spec).troubles)


class _ScoredTexts:
    """The prompts and answers that are scored for a spec's edits."""

    def __init__(self, loaded: LoadedModel, spec: Spec) -> None:
        self._loaded = loaded
        self._likelihoods = spec.scoring.match == "success"
        # After every prompt, as many tokens are generated as the longest of all answers has. An
        # answer that is too long for its own prompt is reported there, not for every other edit.
        own = [(edit.prompt, self._longest(edit) + MOST_EXTRA_TOKENS) for edit in spec.edits]
        self._written = max(
            (more for text, more in own if not list(self._room(text, more))), default=0
        )

    def troubles(self, edit: Edit, *, prompt: bool = True) -> Iterator[str]:
        """Yield why an edit's prompts, paraphrases and neighbours cannot be scored.

        Without ``prompt`` the edit's own prompt is left out: a problem of it is reported already.
        """
        asked = every_question(edit)
        for each in asked:
            yield from _trouble(partial(self._require_answer, each.answer))
        longest = self._longest(edit)
        written = max(longest + MOST_EXTRA_TOKENS, self._written)
        if prompt:
            yield from self._room(edit.prompt, written)
        # Nothing is generated to compare the likelihoods of two answers.
        more = longest - 1 if self._likelihoods else written
        for each in asked:
            if each.prompt != edit.prompt:
                yield from self._room(each.prompt, more)

    def _require_answer(self, answer: Continuation) -> None:
        self._loaded.require_room(continuation(self._loaded.tokenizer, answer))

    def _room(self, prompt: str, more: int) -> Iterator[str]:
        """Yield what is wrong with a prompt that ``more`` tokens will follow."""
        ids = encode(self._loaded.tokenizer, prompt)
        if not ids:
            yield f"the tokenizer has no tokens for the prompt {prompt!r}"
        yield from _trouble(lambda: self._loaded.require_room(ids, more))

    def _longest(self, edit: Edit) -> int:
        """Return the number of tokens of the longest answer that is scored for an edit."""
        return max(self._length(each.answer) for each in every_question(edit))

    def _length(self, answer: Continuation) -> int:
        try:
            return len(continuation(self._loaded.tokenizer, answer))
        except ModelError:
            return 1  # reported with its edit


def _trouble(attempt: Callable[[], object]) -> Iterator[str]:
    try:
        attempt()
    except (EditError, ModelError) as error:
        yield str(error)


def _refuse(edits: Sequence[Edit], troubles: Callable[[Edit], Iterator[str]]) -> None:
    """Raise one error that lists the edits with problems, if there are any."""
    lines = [
        f"edit {number} of {len(edits)} ({edit.subject}, {edit.origin}): {found}"
        for number, edit in enumerate(edits, start=1)
        if (found := "; ".join(dict.fromkeys(troubles(edit))))
    ]
    if len(lines) == 1:
        raise EditError(lines[0])
    if lines:
        more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        shown = "".join(f"\n  {line}" for line in [*lines[:_SHOWN], *more])
        raise EditError(f"{len(lines)} of {len(edits)} edits cannot be made on this model:{shown}")

"""The abilities of a spec, measured before the first edit and compared with that afterwards."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_eac.abilities.asking import Replies
from pytest_eac.abilities.lm_eval import Harness, prepare_task
from pytest_eac.abilities.tasks import Prepared, prepare
from pytest_eac.abilities.third_party import ThirdParty, find_ability
from pytest_eac.errors import EacError, SettingsError, UnavailableError
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.state.process import preserved_random_state
from pytest_eac.lm.state.snapshot import unchanged
from pytest_eac.lm.weights import swapped
from pytest_eac.records.run import Ability
from pytest_eac.scoring.asker import ModelState
from pytest_eac.scoring.perplexity import continued_perplexity
from pytest_eac.spec.schema.abilities import BUILT_IN, LM_EVAL, AbilityBounds
from pytest_eac.stats.paired import Interval


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UneditedAbilities:
    """What a model can do apart from the edited facts, asked before the first edit.

    Attributes:
        prepared: the abilities by name, ready to be asked.
        replies: the unedited model's scores.
        records: the same as a record has them.
        confidence: the level of the intervals.
    """

    prepared: Mapping[str, Prepared]
    replies: Mapping[str, Replies]
    records: dict[str, Ability]
    confidence: float


def ask_abilities(
    state: ModelState,
    wanted: Mapping[str, AbilityBounds],
    *,
    offline: bool = False,
    confidence: float = 0.95,
    report: Callable[[str], None] = lambda _: None,
    absent: Callable[[str, UnavailableError], None] | None = None,
) -> UneditedAbilities:
    """Ask the unedited model for its abilities.

    Scores in the cache are reused, but for those whose questions are not all known: abilities of
    other packages, and lm-eval tasks with code of their own, are always asked.

    Args:
        state: the unedited model.
        wanted: the abilities by name, and how they are asked for.
        offline: whether data sets may come from this machine only.
        confidence: the level of the intervals.
        report: called with the name of an ability that is about to be measured.
        absent: called with the name of an ability whose data are not on this machine, which is then
            left out; by default that is an error.

    Raises:
        DataError: items cannot be read.
        UnavailableError: a data set is not on this machine.
        SettingsError: an ability's options do not fit.
        NonFiniteError: a logit is not finite.
        SpoiledModelError: an ability of another package, or lm-eval, left something behind.
    """
    prepared: dict[str, Prepared] = {}
    for name, bounds in wanted.items():
        try:
            prepared[name] = _prepare(state.loaded, name, bounds, offline=offline)
        except EacError as error:
            error.check = name
            if absent is None or not isinstance(error, UnavailableError):
                raise
            absent(name, error)
    replies = {name: _ask(name, each, state, report) for name, each in prepared.items()}
    return UneditedAbilities(
        prepared=prepared,
        replies=replies,
        records={
            name: _record(prepared[name], base=each, replies=each, confidence=confidence)
            for name, each in replies.items()
        },
        confidence=confidence,
    )


def measure_abilities(
    unedited: UneditedAbilities,
    names: Iterable[str],
    state: ModelState,
    *,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Ability]:
    """Measure some of the abilities on a model as it is now, compared with the unedited one.

    Raises:
        SettingsError: an ability has more or fewer scores than for the unedited model.
        NonFiniteError, SpoiledModelError: as :func:`ask_abilities`.
    """
    found = {}
    for name in names:
        if name not in unedited.prepared:
            continue
        prepared, base = unedited.prepared[name], unedited.replies[name]
        replies = _ask(name, prepared, state, report)
        if len(replies.scores) != len(base.scores):
            raise SettingsError(
                f"ability {name!r}: found {len(replies.scores)} scores, "
                f"expected {len(base.scores)} as for the unedited model, "
                "one for each of the same items"
            )
        found[name] = _record(prepared, base=base, replies=replies, confidence=unedited.confidence)
    return found


def _ask(
    name: str, prepared: Prepared, state: ModelState, report: Callable[[str], None]
) -> Replies:
    report(name)
    if not prepared.question:
        return _put(name, prepared, state)

    def ask() -> list[Any]:
        replies = _put(name, prepared, state)
        return [list(replies.scores), replies.unparsable, replies.about]

    scores, unparsable, about = state.recall({"ability": name, "items": prepared.question}, ask)
    return Replies(scores=tuple(scores), unparsable=unparsable, about=about)


def _put(name: str, prepared: Prepared, state: ModelState) -> Replies:
    """Put the items to the model as it is now; whatever goes wrong bears the ability's name."""
    loaded = state.loaded
    try:
        if isinstance(prepared.asked, ThirdParty | Harness):
            # Code of other packages must leave the model as it is.
            with preserved_random_state(), unchanged(loaded, "it", whole=True):
                replies = prepared.asked.ask(loaded)
        else:
            replies = prepared.asked.ask(loaded)
        if not replies.texts:
            return replies
        with swapped(loaded.model, state.originals):
            read = continued_perplexity(loaded, replies.texts)
        return replace(replies, about={**replies.about, "perplexity_unedited": read}, texts=())
    except EacError as error:
        raise type(error)(f"ability {name!r}: {error}") from error


def _record(prepared: Prepared, *, base: Replies, replies: Replies, confidence: float) -> Ability:
    asked = prepared.asked
    value = asked.value(replies.scores, confidence=confidence)
    if replies is base and any(base.scores):
        kept = Interval(value=1.0, low=1.0, high=1.0)  # a model keeps all of itself
    else:
        kept = asked.kept(base.scores, replies.scores, confidence=confidence) or Interval(
            value=0.0, low=None, high=None
        )
    return Ability(
        value=value.value,
        low=value.low,
        high=value.high,
        base=asked.value(base.scores).value,
        kept=kept.value if any(base.scores) else None,
        kept_low=kept.low,
        kept_high=kept.high,
        n=len(base.scores),
        unparsable=replies.unparsable,
        chance=asked.chance,
        majority=asked.majority,
        signal=asked.signal(base.scores),
        scores=replies.scores,
        about=replies.about,
        template=prepared.template,
        data=prepared.data,
        sha256=prepared.sha256,
    )


def _prepare(loaded: LoadedModel, name: str, bounds: AbilityBounds, *, offline: bool) -> Prepared:
    if name in BUILT_IN:
        return prepare(loaded, name, bounds, offline=offline)
    if name.startswith(LM_EVAL):
        with preserved_random_state(), unchanged(loaded, name):
            return prepare_task(loaded, name, bounds, offline=offline)
    return Prepared(asked=find_ability(name), template=None, data=None, sha256=None)

"""What the registry holds: methods, metrics and abilities, each as one value.

A module that defines an entry is imported when a spec names it. It is therefore light: torch, and
what imports torch, is imported by the functions that compute.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any, Literal

from pydantic import BaseModel

from pytest_eac.errors import SettingsError
from pytest_eac.spec.types import Strict


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """An editing method, as data.

    Attributes:
        solve: the callable ``(model, edits, settings)`` or ``(model, edits, settings, work)``, such
            as a :class:`pytest_eac.editing.recipe.Recipe`; or where to find it
            (``"package.module:name"``, imported on first use). It returns the deltas, or a
            :class:`pytest_eac.editing.interface.Solved` to say more, and leaves the model as it is.
        source: where the method was published.
        takes_value: it writes solved values; ``NAME-eac`` then exists as well.
        many_edits: it can make several edits in one update (``sequence: {batch: 10}``).
        many_layers: it can spread an update over several layers.
        covariance: it reads the second moment of the layers' inputs.
        covariance_optional: it can do without (``covariance: none``).
        protects: it protects earlier edits; their keys reach its rule as ``Problem.earlier``.
        released: ``presets/released.yaml`` has the settings of the authors' code.
        update: a pydantic model of its options under ``update:``, with their defaults.
        value: defaults under ``value:`` that differ from the usual ones.
        modules: which modules it may change, ``(model, settings) -> paths``; by default the
            down-projections of ``settings.layers``.
        options: a pydantic model for what the spec says under ``options:`` (for methods of other
            packages); ``settings.options`` is then an instance of it.
        anchors: it is the ``-eac`` twin of another method, which is derived, never registered.
    """

    solve: str | Callable[..., Any]
    source: str = ""
    takes_value: bool = False
    many_edits: bool = True
    many_layers: bool = True
    covariance: bool = False
    covariance_optional: bool = False
    protects: bool = False
    released: bool = False
    update: type[BaseModel] = Strict
    value: Mapping[str, Any] = field(default_factory=dict)
    modules: Callable[..., Any] | None = None
    options: type[BaseModel] | None = None
    anchors: bool = False

    def resolve(self) -> Callable[..., Any]:
        """Return the callable, importing it if need be.

        Raises:
            ImportError, AttributeError: it is not there.
        """
        return resolved(self.solve)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric, as data.

    Attributes:
        measure: the callable ``(model, edits)``, or where to find it (``"package.module:name"``,
            imported on first use). It is called on the edited model with the edits so far, and
            returns a score between 0 and 1 for each edit (``None`` where there is nothing to
            measure), or one number for the model. A built-in share is called with an
            :class:`pytest_eac.measuring.recall.EditedModel` and returns a ``Measurement``.
        name: as in checks and records; that which it is registered under.
        heading: of its column in the terminal, where space is short; by default the name.
        asks: the question that it answers, in a sentence.
        formula: its definition.
        page: the page of the documentation that says more.
        needs: what at least one edit must have: a key of ``NEEDS``, or nothing (empty).
        asked: when it is measured: of the ``unedited`` model, right after each ``edit``, or at each
            ``checkpoint``.
        kind: a ``share`` is the mean of a score per edit; a ``number`` is one for the model;
            ``weights`` is the size of the weights' change. By default, what it returns decides.
        better: ``higher`` or ``lower``. By default, scores of edits are better the higher they are,
            and which way one number of the model is better is not known.
        leaves_out: which edits do not count in it (``excluded`` in the record).
        against: what an answer that missed was held against.
        forgetting: whether the report draws its scores edit by edit, to show what is lost when.
    """

    measure: Callable[..., Any] | str
    name: str = ""
    heading: str = ""
    asks: str = "A number that a conftest.py or another package brings."
    formula: str = "as its author defines it"
    page: str = "extend"
    needs: Literal["", "truth", "paraphrases", "neighborhood"] = ""
    asked: Literal["unedited", "edit", "checkpoint"] = "checkpoint"
    kind: Literal["share", "number", "weights"] | None = None
    better: Literal["higher", "lower"] | None = None
    leaves_out: tuple[Literal["already held", "target is truth"], ...] = ()
    against: str = "expected"
    forgetting: bool = False

    def resolve(self) -> Callable[..., Any]:
        """Return the callable, importing it if need be.

        Raises:
            SettingsError: it is not there, or is not callable.
        """
        try:
            found: Any = resolved(self.measure)
        except (ImportError, AttributeError, ValueError) as error:
            raise SettingsError(
                f"metric {self.name!r}: {self.measure!r} cannot be imported: {error}"
            ) from error
        if not callable(found):
            kind = type(found).__name__
            raise SettingsError(f"metric {self.name!r} is a {kind}, expected a callable")
        called: Callable[..., Any] = found
        return called


READ = frozenset({"data", "revision", "take", "seed"})
"""What a check of any built-in ability may say of the items."""
KEPT = "kept = value / the unedited model's; value = mean score over items"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """How an ability's items become prompts, where a spec does not say otherwise.

    Raise the version whenever a word or an example changes: results of different versions cannot be
    compared.

    Attributes:
        text: the prompt, with ``{field}`` where a field of the item goes. An answer follows it
            after one space, where its script has spaces.
        version: of the text and the examples.
        candidates: the answers to choose between, in the order of the labels; may be empty.
        shots: how many worked examples stand before an item. They are in
            ``abilities/examples/NAME.jsonl``, written for this project, and no items of the data.
            ``None`` where there are none.
    """

    text: str
    version: int = 1
    candidates: tuple[str, ...] = ()
    shots: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A built-in ability.

    Attributes:
        asked: what the items ask, in words.
        data: the name of the package's own items.
        ask: makes questions of the items, ``(model, rows, template)``, or ``(model, rows)`` where
            there are no prompts; or where to find it, as ``"package.module:name"``.
        prompt: how items become prompts; ``None`` where they do not.
        probability: likewise makes questions whose scores are the probabilities of the right
            answers (``metric: probability``); ``None`` where no answer is the right one.
        limits: the keys of its check that set limits of its own.
        formula: the number that it is judged by.
    """

    asked: str
    data: str
    ask: str | Callable[..., Any]
    prompt: Prompt | None = None
    probability: str | Callable[..., Any] | None = None
    limits: frozenset[str] = frozenset()
    formula: str = KEPT

    @property
    def uses(self) -> frozenset[str]:
        """The keys of its check that it has a use for, apart from the limits of all abilities."""
        found = READ | self.limits
        if self.prompt:
            found |= {"template", "chat"}
            found |= {"shots"} if self.prompt.shots is not None else set()
            found |= {"candidates", "calibrate"} if self.prompt.candidates else set()
            found |= {"metric"} if self.probability else set()
        return found


def resolved(found: str | Callable[..., Any]) -> Callable[..., Any]:
    """Return a callable that may be given by its place, ``"package.module:name"``.

    Raises:
        ImportError, AttributeError: it is not there.
        ValueError: the text has another form.
    """
    there: Callable[..., Any] = resolve_name(found) if isinstance(found, str) else found
    return there

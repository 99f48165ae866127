"""What the registry holds: methods and abilities, each as one value.

A module that defines an entry is imported when a spec names it. It is therefore light: torch, and
what imports torch, is imported by the functions that compute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_eac.spec.types import Strict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel


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


READ = frozenset({"data", "revision", "take", "seed"})
"""What a check of an ability may say of the items; more where they are put into prompts."""
PROMPTED = READ | {"template", "chat"}
WITH_EXAMPLES = PROMPTED | {"shots"}
LABELLED = WITH_EXAMPLES | {"calibrate", "candidates"}

KEPT = "kept = value / the unedited model's; value = mean score over items"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A built-in ability.

    Attributes:
        asked: what the items ask, in words.
        data: the name of the package's own items.
        uses: the keys of its check that it has a use for, apart from limits. With ``template``
            among them, ``abilities/templates.yaml`` has its prompt.
        ask: makes questions of the items, ``(model, rows, template)``, or ``(model, rows)`` where
            there are no prompts; or where to find it, as ``"package.module:name"``.
        formula: the number that it is judged by.
    """

    asked: str
    data: str
    uses: frozenset[str]
    ask: str | Callable[..., Any]
    formula: str = KEPT

    @property
    def prompted(self) -> bool:
        """Whether a template makes prompts of the items."""
        return "template" in self.uses


def resolved(found: str | Callable[..., Any]) -> Callable[..., Any]:
    """Return a callable that may be given by its place; see :func:`imported`."""
    there: Callable[..., Any] = imported(found) if isinstance(found, str) else found
    return there


def imported(place: str) -> Any:
    """Return what ``"package.module:name"`` names.

    Raises:
        ImportError, AttributeError: it is not there.
    """
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)

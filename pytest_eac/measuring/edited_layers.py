"""Which layers of a model a method edits, and with which settings."""

from collections.abc import Callable

from pytest_eac.cache.entries import Cache
from pytest_eac.editing.layers import edited_modules
from pytest_eac.editing.sequence import unchanged_by
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.measuring.tracing import trace
from pytest_eac.spec.hyperparameters import resolve_settings
from pytest_eac.spec.methods import find_method
from pytest_eac.spec.schema.settings import MethodSettings
from pytest_eac.spec.spec import Spec, SpecMethod

# How many layers ``layers: auto`` gives to methods that share an edit out: MEMIT's number.
AUTO_LAYERS = 5


def settle(
    loaded: LoadedModel,
    spec: Spec,
    method: SpecMethod,
    *,
    cache: Cache | None = None,
    report: Callable[[int, int, str], None] = lambda *_: None,
) -> tuple[MethodSettings, tuple[str, ...]]:
    """Return a method's settings for a model, and the modules that it may change.

    ``layers: auto`` is settled here, by tracing the spec's facts on the model as it is.

    Raises:
        SettingsError: the method lacks a hyperparameter for this model, or cannot edit it.
        EditError: the model knows none of the facts to trace.
        SpoiledModelError: the method has left something changed.
    """
    settings = resolve_settings(method.choice, loaded.shape)
    settings = settings.model_copy(update={"control": method.control})
    if settings.layers == "auto":
        report(0, len(spec.edits), "tracing which layer holds the facts")
        tracing = trace(loaded, spec.edits, cache=cache)
        spreads = find_method(settings.base).many_layers and not loaded.layout.normed
        wanted = AUTO_LAYERS if spreads else 1
        settings = settings.model_copy(update={"layers": tracing.spread(wanted)})
    with unchanged_by(loaded, settings.base):  # a method of another package may compute them
        return settings, edited_modules(loaded, settings)

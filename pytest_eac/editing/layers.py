"""Which layers and modules a method changes."""

from pytest_eac.errors import SettingsError
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.spec.methods import find_method
from pytest_eac.spec.schema.settings import MethodSettings


def edited_modules(loaded: LoadedModel, settings: MethodSettings) -> tuple[str, ...]:
    """Return the paths of the modules that a method may change.

    Raises:
        SettingsError: the method cannot edit several layers of this architecture.
    """
    method = find_method(settings.base)
    if method.modules is not None:
        return tuple(method.modules(loaded, settings))
    if method.takes_value and loaded.layout.normed and len(settings.layers) > 1:
        kind, layers = loaded.shape["model_type"], list(settings.layers)
        raise SettingsError(
            f"{settings.base} cannot share an edit out over layers {layers} in {kind} models: a "
            "norm stands between each matrix and the residual stream; give one layer"
        )
    return tuple(loaded.layout.down.format(layer) for layer in chosen_layers(settings))


def chosen_layers(settings: MethodSettings) -> tuple[int, ...]:
    """Return the edited layers, ascending; they must have been found before (``layers: auto``)."""
    if settings.layers == "auto":
        raise ValueError("layers: auto has not been resolved")
    return settings.layers

"""What the command line overrides of a spec."""

from dataclasses import replace

from pytest_eac.errors import SettingsError
from pytest_eac.plugin.options import Options
from pytest_eac.spec.schema.methods import ModelChoice
from pytest_eac.spec.spec import Spec


def overridden(spec: Spec, options: Options) -> Spec:
    """Return a spec with what the options say in place of what it says itself.

    Raises:
        SettingsError: an option names a method that does not exist.
    """
    if options.methods:
        try:
            spec = spec.with_methods(options.methods)
        except ValueError as error:
            raise SettingsError(f"--eac-method: {error}") from None
    if options.seeds:
        spec = replace(spec, seeds=options.seeds)
    if options.limit_edits is not None:
        spec = spec.limited(options.limit_edits)
    if options.orderings is not None and spec.orderings is not None:
        drawn = spec.orderings.model_copy(update={"examples": options.orderings})
        spec = replace(spec, orderings=drawn if options.orderings else None)
    return replace(spec, model=_model(spec, options))


def _model(spec: Spec, options: Options) -> ModelChoice | None:
    given = {
        name: value
        for name in ("revision", "dtype", "device")
        if (value := getattr(options, name)) is not None
    }
    if options.model is not None:
        return ModelChoice.model_validate({"id": options.model, **given})
    return spec.model.model_copy(update=given) if spec.model else None

"""What to edit, and how: the model and the methods of a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pytest_eac.errors import SettingsError
from pytest_eac.spec.methods import BUILT_IN, CONTROLS, find_method
from pytest_eac.spec.schema.settings import (
    AnchorSettings,
    ContextSettings,
    CovarianceSettings,
    Layers,
    Preset,
    ValueSettings,
)
from pytest_eac.spec.schema.update_options import UpdateSettings
from pytest_eac.spec.types import Name, Strict, Text

if TYPE_CHECKING:
    from pytest_eac.spec.registry_entries import Method

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class ModelChoice(Strict):
    """Which model to edit, and how to load it."""

    id: Text = Field(
        description="Hub id, folder, .gguf file, or package:NAME (a model file inside an installed "
        "Python package). A relative path is relative to the spec."
    )
    revision: Text | None = Field(None, description="Branch, tag or commit of a hub model.")
    dtype: Dtype = Field(
        "auto", description="Number format of the weights; auto is the checkpoint's own."
    )
    device: Text = Field("auto", description="cpu, cuda, cuda:1, mps; auto takes a GPU if any.")


def _known_method(name: str) -> str:
    if name in CONTROLS:
        return name
    try:
        find_method(name)
    except KeyError as error:
        raise PydanticCustomError("name", "{problem}", {"problem": error.args[0]}) from None
    except SettingsError as error:
        raise PydanticCustomError("name", "{problem}", {"problem": str(error)}) from None
    return name


class MethodChoice(Strict):
    """A method of this spec: a known one, with the hyperparameters that differ."""

    base: Annotated[
        str,
        AfterValidator(_known_method),
        WithJsonSchema({"anyOf": [{"enum": [*BUILT_IN, *CONTROLS]}, {"type": "string"}]}),
    ] = Field(description="The method that this one is a variant of.")
    like: Name | None = Field(
        None,
        description="For a control (random, random-spectrum): the method of this spec, or the "
        "built-in one, whose updates it is as large as.",
    )
    preset: Preset = Field(
        "paper",
        description="paper: the method as published; released: as the authors' code does it.",
    )
    layers: Layers | Literal["auto"] | None = Field(
        None,
        description="Edited layers, counted from 0; auto finds them by causal tracing; by default "
        "the preset's.",
    )
    contexts: ContextSettings = ContextSettings()
    value: ValueSettings = ValueSettings()
    anchors: AnchorSettings = AnchorSettings()
    covariance: CovarianceSettings | Literal["none"] = Field(
        CovarianceSettings(), description="Statistics of the layer's inputs; none does without."
    )
    update: Any = Field(
        {},
        validate_default=True,
        description="How the matrix is changed; each method has options of its own.",
    )
    options: Any = Field(
        None,
        validate_default=True,
        description="Options of a method that another package brings.",
    )

    @model_validator(mode="after")
    def _all_that_is_given_has_a_use(self) -> Self:
        if self.base in CONTROLS:
            self._all_is_the_mirrored_methods()
        elif self.like is not None:
            text = "{base} is no control; 'like' goes with {controls}"
            raise _no_use(text, self, controls=" and ".join(CONTROLS))
        else:
            self._each_option_has_a_use(find_method(self.base))
        return self

    def _all_is_the_mirrored_methods(self) -> None:
        if self.like is None:
            raise _no_use("{base} mirrors a method; say which, e.g. like: rome", self)
        if unused := ", ".join(sorted(self.model_fields_set - {"base", "like"})):
            text = "{base} takes all from {like}; drop {unused}"
            raise _no_use(text, self, like=self.like, unused=unused)

    def _each_option_has_a_use(self, method: Method) -> None:
        given = self.model_fields_set
        if "anchors" in given and not method.anchors:
            if method.takes_value:
                raise _no_use("{base} has no anchors; take {base}-eac or drop 'anchors'", self)
            raise _no_use("{base} has no anchors; drop 'anchors'", self)
        if not method.takes_value and self.base in BUILT_IN:
            for part in ("contexts", "value"):
                if part in given:
                    raise _no_use("{base} solves for no value; drop {part}", self, part=repr(part))
        if "covariance" in given and not method.covariance:
            raise _no_use("{base} reads no covariance; drop 'covariance'", self)
        if self.covariance == "none" and not method.covariance_optional:
            known = " and ".join(
                name
                for name, each in BUILT_IN.items()
                if each.covariance_optional and not each.anchors
            )
            raise _no_use("{base} needs a covariance; only {known} do without", self, known=known)
        if self.preset == "released" and not method.released:
            known = ", ".join(name for name, each in BUILT_IN.items() if each.released)
            raise _no_use("the released code has no {base}; it has: {known}", self, known=known)
        self._anchors_are_of_a_piece()
        if self.contexts.texts and "lengths" in self.contexts.model_fields_set:
            raise _no_use("contexts: texts are given, so nothing is sampled; drop lengths", self)

    def _anchors_are_of_a_piece(self) -> None:
        given = self.anchors.model_fields_set
        if {"threshold", "ratio"} <= given:
            raise _no_use("anchors: found a threshold and a ratio, expected one of the two", self)
        if self.anchors.choice == "all" and given & {"ratio", "threshold"}:
            raise _no_use("anchors: choice all keeps all; drop ratio and threshold", self)
        unused = ", ".join(sorted(given & {"steps", "start", "l1", "l2", "scored", "kl_reference"}))
        if unused and not self.anchors.retrain:
            raise _no_use(
                "anchors: there is no stage 2 without retraining; drop {unused}",
                self,
                unused=unused,
            )

    @field_validator("update", mode="before", json_schema_input_type=UpdateSettings)
    @classmethod
    def _options_of_the_update(cls, value: Any, info: ValidationInfo) -> Any:
        """Read ``update`` by the model that the method has for it."""
        base = info.data.get("base")
        if base is None or base in CONTROLS:
            return value  # reported under 'base', or with all else that a control has no use for
        return find_method(base).update.model_validate(value)

    @field_validator("options", mode="before")
    @classmethod
    def _options_of_its_own(cls, value: Any, info: ValidationInfo) -> Any:
        """Read ``options`` by the model that the method brings."""
        base = info.data.get("base")
        if base is None:
            return value  # reported under 'base'
        model = None if base in CONTROLS else find_method(base).options
        if model is not None:
            return model.model_validate({} if value is None else value)
        if value is not None:
            text = "{base} has no options of its own; drop 'options'"
            raise PydanticCustomError("no_use", text, {"base": base})
        return None


def _no_use(text: str, choice: MethodChoice, **more: str) -> PydanticCustomError:
    return PydanticCustomError("no_use", text, {"base": choice.base, **more})

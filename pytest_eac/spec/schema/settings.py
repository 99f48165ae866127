"""Hyperparameters of the editing methods, as data.

Every model is frozen, refuses keys that it does not know, and documents its fields: the reference
and the JSON Schema come from here.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from pytest_eac.spec.methods import find_method
from pytest_eac.spec.types import NonNegative, Positive, Ratio, Steps, Strict

Preset = Literal["paper", "released"]
Layers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


def _one_place(text: str) -> str:
    if text.count("{}") != 1:
        raise PydanticCustomError("one_place", "expected {} exactly once")
    return text


ContextText = Annotated[str, AfterValidator(_one_place)]


class ContextSettings(Strict):
    """Short texts put before a prompt, so that an edit holds in any context."""

    lengths: tuple[tuple[Steps, Steps], ...] = Field(
        ((5, 10), (10, 10)),
        description="Pairs (tokens, how many) of prefixes to sample from the unedited model.",
    )
    texts: tuple[ContextText, ...] | None = Field(
        None,
        min_length=1,
        description="Contexts given by hand, each with {} for the prompt; nothing is "
        "sampled, and the bare prompt is always one of them.",
    )


class ValueSettings(Strict):
    """Search for the value: gradient descent (Adam) on the layer's output at the subject."""

    steps: Steps = Field(20, description="Largest number of steps (of stage 1 with EAC).")
    learning_rate: Positive = Field(0.5, description="Adam's learning rate.")
    weight_decay: NonNegative = Field(
        1e-3, description="Weight of ||delta||_2 / ||v_init||_2^2 in the loss."
    )
    kl_factor: NonNegative = Field(
        0.0625, description="Weight of KL(edited || unedited) on '{subject} is a' in the loss."
    )
    clamp: Positive = Field(4.0, description="Largest ||delta||_2, as a multiple of ||v_init||_2.")
    stop_loss: NonNegative = Field(0.05, description="Stop once the loss is below this.")
    stop_when: Literal["loss", "argmax"] = Field(
        "loss",
        description="loss: stop below stop_loss; argmax: stop also when the target is the most "
        "likely answer in every context (ENCORE).",
    )
    argmax_steps: Steps = Field(
        1,
        description="With stop_when: argmax, stop at the Nth step at which the target is the most "
        "likely answer (ENCORE's prob_cutoff of -N).",
    )
    norm: Literal["free", "anchored"] | Positive = Field(
        "free",
        description="anchored: rescale every solved value to the mean norm of values solved on the "
        "unedited model (NAS); a number: to this norm.",
    )


class AnchorSettings(Strict):
    """Editing Anchor Compression: which dimensions carry the edit, and their retraining."""

    choice: Literal["saliency", "gradient", "magnitude", "random", "all"] = Field(
        "saliency",
        description="What anchors are chosen by: |mean gradient * delta| (saliency), |mean "
        "gradient|, |delta| (magnitude), chance (seeded), or all dimensions.",
    )
    ratio: Ratio = Field(0.2, description="Share of the dimensions kept, the largest first.")
    threshold: Ratio | None = Field(
        None,
        description="Keep, instead of a fixed share, the dimensions whose score is at least this "
        "share of the largest score.",
    )
    retrain: bool = Field(
        True, description="false: keep stage 1's delta on the anchors, without stage 2."
    )
    steps: Steps = Field(20, description="Largest number of steps of stage 2, on the anchors only.")
    start: Literal["warm", "cold"] = Field(
        "warm", description="Stage 2 starts from stage 1's delta on the anchors, or from zero."
    )
    l1: NonNegative = Field(
        5e-7,
        description="Weight of the elastic net's L1 term in stage 2: sum |delta_i| / "
        "(saliency_i + 1e-6); 0 switches it off.",
    )
    l2: NonNegative | None = Field(
        None,
        description="Weight of the net's L2 term in stage 2, ||delta||_2 / ||v_init||_2^2; by "
        "default value.weight_decay.",
    )
    scored: bool = Field(
        True, description="false: a plain elastic net, sum |delta_i|, without the saliencies."
    )
    kl_reference: Literal["unedited", "start"] = Field(
        "unedited",
        description="What stage 2's KL refers to: the model before this edit, or (a slip of the "
        "released code) the model with the delta that stage 2 starts from.",
    )


class CovarianceSettings(Strict):
    """The second moment C = E[k k^T] of a layer's inputs: describes the keys of other texts."""

    corpus: str = Field(
        "built-in",
        min_length=1,
        description="Text to run the unedited model on: built-in, a .txt, .tsv, .csv, .json, "
        ".jsonl or .parquet file (relative to the spec), or hub:NAME[:CONFIG], whose train split "
        "is fetched whole.",
    )
    column: str = Field("text", min_length=1, description="Column of a table that holds the text.")
    tokens: Annotated[int, Field(ge=1)] = Field(
        100_000, description="How many tokens of the corpus to read at most."
    )
    ridge: NonNegative = Field(
        0.05, description="Added to the diagonal, as a multiple of the mean of C's diagonal."
    )


class MethodSettings(Strict):
    """A method ready to run: every hyperparameter that it uses has its value."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    base: str
    preset: Preset = "paper"
    layers: Layers | Literal["auto"]
    contexts: ContextSettings = ContextSettings()
    value: ValueSettings = ValueSettings()
    anchors: AnchorSettings | None = None
    covariance: CovarianceSettings | None = None
    update: Any = Field(
        {},
        validate_default=True,
        description="Options of the update, of the model that the method has for them.",
    )
    options: Any = None
    control: Literal["random", "random-spectrum"] | None = Field(
        None, description="Random updates of this method's size in place of its own."
    )

    @field_validator("base")
    @classmethod
    def _is_known(cls, base: str) -> str:
        try:
            find_method(base)
        except KeyError:
            raise PydanticCustomError("unknown", f"no method {base!r} is known here") from None
        return base

    @field_validator("update", mode="before")
    @classmethod
    def _of_the_methods_own_model(cls, value: Any, info: ValidationInfo) -> Any:
        base = info.data.get("base")  # absent if it is wrong, which is reported
        return value if base is None else find_method(base).update.model_validate(value)

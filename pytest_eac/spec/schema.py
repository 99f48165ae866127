"""The models of a spec; its published JSON Schema comes from them.

Every model is frozen and refuses unknown keys: an instance that exists is valid by itself. What
needs the whole file (does a method named in ``compare`` exist?) is checked in ``load``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pytest_eac.errors import SettingsError
from pytest_eac.spec.abilities import Abilities, AbilityBounds
from pytest_eac.spec.edits import fill
from pytest_eac.spec.methods import BUILT_IN, Method, find_method, plain_name
from pytest_eac.spec.names import closest
from pytest_eac.spec.registry import METRICS, SOURCES, names
from pytest_eac.spec.settings import (
    AnchorSettings,
    ContextSettings,
    CovarianceSettings,
    Layers,
    NonNegative,
    Preset,
    Strict,
    UpdateSettings,
    ValueSettings,
)


def _strip(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("blank", "found only white space, expected a text")
    return value.strip()


Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Phrase = Annotated[Text, AfterValidator(_strip)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=80)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]

Match = Literal["accuracy", "success", "generation"]
Metric = Literal["efficacy", "generalization", "locality", "retention", "deviation"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


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


def _from_text(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


def _known_method(name: str) -> str:
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
        WithJsonSchema({"anyOf": [{"enum": list(BUILT_IN)}, {"type": "string"}]}),
    ] = Field(description="The method that this one is a variant of.")
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
    update: UpdateSettings = UpdateSettings()
    options: Any = Field(
        None,
        validate_default=True,
        description="Options of a method that another package brings.",
    )

    @model_validator(mode="after")
    def _each_option_has_a_use(self) -> Self:
        method = find_method(self.base)
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
        if self.covariance == "none" and plain_name(self.base) not in _CAN_DO_WITHOUT:
            raise _no_use("{base} needs a covariance; only rome and r-rome do without", self)
        if self.preset == "released" and self.base not in _RELEASED:
            known = ", ".join(_RELEASED)
            raise _no_use("the released code has no {base}; it has: {known}", self, known=known)
        self._update_has_a_use(method)
        self._anchors_are_of_a_piece()
        if self.contexts.texts and "lengths" in self.contexts.model_fields_set:
            raise _no_use("contexts: texts are given, so nothing is sampled; drop lengths", self)
        return self

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

    def _update_has_a_use(self, method: Method) -> None:
        unused = sorted(self.update.model_fields_set - method.update.keys())
        if unused:
            known = ", ".join(method.update) or "none"
            text = "{base} has no update option {unused}; it has: {known}"
            raise _no_use(text, self, unused=", ".join(unused), known=known)
        if self.update.l2 == 0 and method.update.get("l2"):
            raise _no_use("{base} needs an l2 above 0", self)

    @field_validator("options", mode="before")
    @classmethod
    def _options_of_its_own(cls, value: Any, info: ValidationInfo) -> Any:
        """Read ``options`` by the model that the method brings."""
        base = info.data.get("base")
        if base is None:
            return value  # told under 'base'
        model = find_method(base).options
        if model is not None:
            return model.model_validate({} if value is None else value)
        if value is not None:
            text = "{base} has no options of its own; drop 'options'"
            raise PydanticCustomError("no_use", text, {"base": base})
        return None


_CAN_DO_WITHOUT = ("rome", "r-rome")
_RELEASED = ("rome", "rome-eac", "memit", "memit-eac")


def _no_use(text: str, choice: MethodChoice, **more: str) -> PydanticCustomError:
    return PydanticCustomError("no_use", text, {"base": choice.base, **more})


class Neighbor(Strict):
    """A prompt about something else, whose answer an edit must leave alone."""

    prompt: Phrase
    answer: Phrase | None = Field(None, description="Its true answer; the model's own by default.")


class InlineEdit(Strict):
    """One fact to write into the model."""

    subject: Phrase = Field(description="Whom or what the fact is about.")
    prompt: Text = Field(
        description="The fact up to its object, with {} in place of the subject or the subject "
        "itself, exactly once."
    )
    target: Phrase = Field(description="The new object; one space is put before it.")
    truth: Phrase | None = Field(None, description="The object before the edit.")
    paraphrases: tuple[Phrase, ...] = Field(
        (), description="The same fact in other words ({} may stand for the subject)."
    )
    neighborhood: tuple[Neighbor, ...] = ()

    @field_validator("prompt")
    @classmethod
    def _subject_once(cls, value: str, info: ValidationInfo) -> str:
        if "subject" not in info.data:
            return value
        try:
            fill(value, info.data["subject"])
        except ValueError as error:
            raise PydanticCustomError(
                "subject_once",
                "{problem}; expected it exactly once (or {braces} in its place)",
                {"problem": str(error), "braces": "{}"},
            ) from None
        return value


FORMATS = ("counterfact", "zsre", "jsonl")


def _known_format(name: str) -> str:
    known = (*FORMATS, *names(SOURCES))
    if name not in known:
        text = "unknown format {name}{hint}"
        more = {"name": repr(name), "hint": closest(name, known)}
        raise PydanticCustomError("name", text, more)
    return name


class EditSource(Strict):
    """Edits read from a file."""

    path: Text = Field(alias="from", description="The file, relative to this spec.")
    format: Annotated[
        str,
        AfterValidator(_known_format),
        WithJsonSchema({"anyOf": [{"enum": list(FORMATS)}, {"type": "string"}]}),
    ] = Field(
        description="counterfact: CounterFact's JSON; zsre: MEND's zsRE JSON; jsonl: one edit per "
        "line, with the keys of an inline edit."
    )
    take: Count | None = Field(None, description="How many edits to use; all by default.")
    seed: Seed | None = Field(
        None, description="Draw the edits at random with this seed; in file order by default."
    )


def _edit_kind(value: Any) -> str:
    is_source = isinstance(value, EditSource) or (isinstance(value, dict) and "from" in value)
    return "(source)" if is_source else "(inline)"


EditEntry = Annotated[
    Annotated[InlineEdit, Tag("(inline)")] | Annotated[EditSource, Tag("(source)")],
    Discriminator(_edit_kind),
]


class Sequence(Strict):
    """How the edits follow one another, and when the model is measured."""

    batch: Count = Field(1, description="Edits per update; rome and r-rome take one at a time.")
    checkpoints: tuple[Count, ...] = Field(
        (), description="Measure after so many edits; the last edit is always measured."
    )


class Scoring(Strict):
    """How an answer is scored."""

    match: Match = Field(
        "accuracy",
        description="accuracy: target tokens under teacher forcing; success: the target is likelier"
        " than the truth; generation: greedy decoding starts with the target.",
    )


At = Literal["final", "every"] | Count


class Limits(Strict):
    """Limits for a number; at least one is given."""

    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.min is None and self.max is None:
            raise PydanticCustomError("no_limit", "nothing is checked; expected min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise PydanticCustomError("crossed", "min is above max: no value can pass")
        return self


class ShareLimits(Limits):
    """Limits for a share between 0 and 1."""

    min: Share | None = None
    max: Share | None = None


class Bounds(ShareLimits):
    """Limits for a metric at one or more checkpoints."""

    at: At = Field("final", description="final, every checkpoint, or the one after N edits.")


class NumberBounds(Limits):
    """Limits for any number at one or more checkpoints."""

    at: At = "final"


def _known_metric(name: str) -> str:
    if name in Checks.model_fields:
        text = "{name} is a check of its own; write it beside 'metrics'"
        raise PydanticCustomError("name", text, {"name": repr(name)})
    if name not in names(METRICS):
        text = "unknown metric {name}{hint}"
        hint = closest(name, names(METRICS)) or "; no package or conftest.py brings one"
        raise PydanticCustomError("name", text, {"name": repr(name), "hint": hint})
    return name


class DeviationBounds(Strict):
    """Limits for how far the edited matrices have moved from the original."""

    norm: Literal["l1", "frobenius"] = Field("l1", description="L1 is the paper's choice.")
    max_relative: NonNegative | None = Field(
        None, description="Largest allowed norm of W_t - W_0, as a share of the norm of W_0."
    )
    min_relative: NonNegative | None = None
    max: NonNegative | None = Field(None, description="The same, absolute.")
    min: NonNegative | None = None
    at: At = "final"

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        limits = (self.max_relative, self.min_relative, self.max, self.min)
        if all(limit is None for limit in limits):
            raise PydanticCustomError(
                "no_limit", "nothing is checked; expected max_relative, min_relative, max or min"
            )
        for low, high in ((self.min, self.max), (self.min_relative, self.max_relative)):
            if low is not None and high is not None and low > high:
                raise PydanticCustomError("crossed", "min is above max: no value can pass")
        return self


AnyBounds = Limits | DeviationBounds | AbilityBounds


class Comparison(Strict):
    """Two methods held against each other on the same edits, at the end of the sequence."""

    metric: Metric
    less: Name | None = Field(None, description="The method that must have the smaller value.")
    more: Name | None = Field(None, description="The method that must have the larger value.")
    than: Name

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if (self.less is None) == (self.more is None):
            raise PydanticCustomError("direction", "expected exactly one of less and more")
        if self.than in {self.less, self.more}:
            raise PydanticCustomError("same", "a method cannot be compared with itself")
        return self

    @property
    def subject(self) -> str:
        """The method that must be below (or above) ``than``."""
        return self.less or self.more or ""


class Checks(Strict):
    """What must hold."""

    known: ShareLimits | None = Field(
        None, description="The unedited model's score on the truths: does it know these facts?"
    )
    efficacy: Bounds | None = Field(
        None, description="Score of each edit right after it was made, mean over the edits so far."
    )
    generalization: Bounds | None = Field(
        None, description="Score on the paraphrases of all edits so far."
    )
    locality: Bounds | None = Field(
        None, description="Share of neighbourhood answers that are as in the unedited model."
    )
    retention: Bounds | None = Field(
        None, description="Score of all edits so far, measured on the model as it is now."
    )
    deviation: DeviationBounds | None = Field(
        None, description="How far the edited matrices have moved."
    )
    metrics: dict[Annotated[str, AfterValidator(_known_metric)], NumberBounds] = Field(
        {}, description="Limits for metrics that other packages, or a conftest.py, bring."
    )
    abilities: Abilities = Field(
        {}, description="What the model must still be able to do; keep alone may be a number."
    )
    compare: tuple[Comparison, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for name in self.abilities:
            if name in type(self).model_fields or name in self.metrics:
                text = "{name} is the name of a check and of an ability; rename the ability"
                raise PydanticCustomError("no_use", text, {"name": repr(name)})
        return self

    def named(self) -> tuple[tuple[str, AnyBounds], ...]:
        """Return the checks of a single chain, by name, in the order of this class."""
        groups = {"compare", "metrics", "abilities"}
        own = (name for name in type(self).model_fields if name not in groups)
        built_in = [(name, getattr(self, name)) for name in own if getattr(self, name)]
        return (*built_in, *self.metrics.items(), *self.abilities.items())

    def __getitem__(self, name: str) -> AnyBounds:
        """Return a check by the name that node ids show."""
        return dict(self.named())[name]


class KnownIssue(Strict):
    """A check that is known to fail: a strict expected failure until somebody mends it."""

    check: Text = Field(description="Name of the check, e.g. generalization.")
    method: Name | None = Field(None, description="Only for this method; all by default.")
    reason: Text


def _method_kind(value: Any) -> str:
    return "(variants)" if isinstance(value, dict) else "(name)"


MethodEntry = Annotated[
    Annotated[Name, Tag("(name)")] | Annotated[dict[Name, MethodChoice], Tag("(variants)")],
    Discriminator(_method_kind),
]


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("version", "expected 1")
    return value


class SpecFile(Strict):
    """A whole spec file."""

    model_config = ConfigDict(
        json_schema_extra={"$id": "pytest-eac-1", "title": "pytest-eac specification"}
    )

    eac: Annotated[Literal[1], BeforeValidator(_no_bool, json_schema_input_type=Literal[1])] = (
        Field(description="Version of the format; marks the file as a spec.")
    )
    name: Text | None = Field(None, description="Shown in reports; the file's name by default.")
    extends: Annotated[
        tuple[Text, ...],
        BeforeValidator(_as_tuple, json_schema_input_type=Text | tuple[Text, ...]),
    ] = Field(
        (), description="Specs that this one is laid over; mappings merge, the rest is replaced."
    )
    model: (
        Annotated[
            ModelChoice, BeforeValidator(_from_text, json_schema_input_type=Text | ModelChoice)
        ]
        | None
    ) = Field(None, description="May be left to --eac-model.")
    methods: Annotated[
        tuple[MethodEntry, ...],
        BeforeValidator(_as_tuple, json_schema_input_type=MethodEntry | tuple[MethodEntry, ...]),
    ] = Field(("rome-eac",), min_length=1, description="One chain per method and seed.")
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)
    edits: tuple[EditEntry, ...] = Field(min_length=1, max_length=100_000)
    sequence: Sequence = Sequence()
    scoring: Scoring = Scoring()
    checks: Checks = Checks()
    known_issues: tuple[KnownIssue, ...] = ()
    marks: tuple[Name, ...] = Field((), description="pytest marks for every item of this file.")
    fixtures: tuple[Name, ...] = Field((), description="pytest fixtures that every item uses.")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a spec file, for editors and other tools."""
    schema = SpecFile.model_json_schema(by_alias=True)
    schema["required"].remove("edits")  # a spec may take them from one that it extends
    schema["anyOf"] = [{"required": ["edits"]}, {"required": ["extends"]}]
    return schema

"""What must hold: the limits of a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, create_model, model_validator

from pytest_eac.spec.metrics import BUILT_IN, DEVIATION, OF_EDITED, metric_names, taken
from pytest_eac.spec.nearest_name import closest
from pytest_eac.spec.registry import METRICS, names
from pytest_eac.spec.schema.abilities import AbilityBounds, AbilityChecks, known_ability
from pytest_eac.spec.schema.at_equal import AtEqualEntry, require_matchable
from pytest_eac.spec.schema.deviation import DeviationBounds
from pytest_eac.spec.types import (
    At,
    Count,
    Level,
    Name,
    NonNegative,
    Number,
    Share,
    Strict,
    Text,
    Texts,
    refusal,
    require_limit,
    require_uncrossed,
)


class Limits(Strict):
    """Limits for a number; at least one is given."""

    min: Number | None = Field(None, description="Least allowed value.")
    max: Number | None = Field(None, description="Largest allowed value.")
    confidence: Level | None = Field(
        None,
        description="Pass only if other such edits would make it too, at this level.",
    )

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        require_limit(self, "min", "max")
        require_uncrossed(self, "min", "max")
        return self


class ShareLimits(Limits):
    """Limits for a share between 0 and 1."""

    min: Share | None = Field(None, description="Least allowed value.")
    max: Share | None = Field(None, description="Largest allowed value.")

    @model_validator(mode="after")
    def _can_be_met_with_confidence(self) -> Self:
        if self.confidence is not None and (self.min == 1.0 or self.max == 0.0):
            raise refusal(
                "no number of edits can show a share of all, or of none, with confidence; expected "
                "a limit that leaves room, such as min: 0.95, or no confidence"
            )
        return self


class Bounds(ShareLimits):
    """Limits for a metric at one or more checkpoints."""

    at: At = "final"


class NumberBounds(Limits):
    """Limits for any number at one or more checkpoints."""

    at: At = "final"


def _known_metric(name: str) -> str:
    if name in Checks.model_fields:
        raise refusal(f"{name!r} is a check of its own; write it beside 'metrics'")
    if reason := taken(name):
        raise refusal(reason)
    if name not in names(METRICS):
        hint = closest(name, names(METRICS)) or "; no package or conftest.py brings one"
        raise refusal(f"unknown metric {name!r}{hint}")
    return name


class ChangedBounds(Strict):
    """What a released checkpoint may have changed of its base; used with ``--eac-edited``."""

    only: tuple[Text, ...] | None = Field(
        None,
        min_length=1,
        description="Names of the tensors that may differ; * stands for any part of a name.",
    )
    max_relative: NonNegative | None = Field(
        None,
        description="Largest allowed L1 norm of a tensor's change, as a share of the tensor's.",
    )
    max_rank: Count | None = Field(
        None, description="Largest allowed effective rank of a matrix's change."
    )
    manifest: bool = Field(
        default=False, description="Whether the release must bring its edit-manifest.json."
    )
    signed_by: Annotated[Texts, Field(min_length=1)] | None = Field(
        None,
        description="PEM file of a public key, relative to this spec: the release must be signed "
        "with its private key (model.sig). Of several keys, any one will do.",
    )
    files: tuple[Text, ...] = Field(
        (),
        description=(
            "Names of files that may be there although the base does not have them, whatever they "
            "hold; * stands for any part of a name."
        ),
    )


AnyBounds = Limits | DeviationBounds | AbilityBounds


def _comparable(name: str) -> str:
    own = metric_names()
    return name if name in own else known_ability(name, more=own)


class CompareCheck(Strict):
    """Two methods held against each other on the same edits, at the end of the sequence."""

    metric: Annotated[str, AfterValidator(_comparable)] = Field(
        description=f"{', '.join(OF_EDITED)}, a metric under 'metrics', or an ability."
    )
    less: Name | None = Field(None, description="The method that must have the smaller value.")
    more: Name | None = Field(None, description="The method that must have the larger value.")
    than: Name = Field(description="The method that it is held against.")
    by: Number | None = Field(
        None,
        description=(
            "Least difference (of perplexities in nats); below 0, how much the method may be on "
            "the wrong side."
        ),
    )
    confidence: Level | None = Field(
        None,
        description="Pass only if other edits (seeds, items) would show it too, at this level.",
    )
    absolute: bool = Field(
        default=False,
        description="For deviation: compare the L1 norm of W_t - W_0 itself, not its share of the "
        "edited matrices' norm; for methods that edit different matrices.",
    )
    at_equal: AtEqualEntry = None

    @model_validator(mode="after")
    def _can_be_matched(self) -> Self:
        if self.at_equal:
            require_matchable(self.metric, self.by)
        return self

    @model_validator(mode="after")
    def _has_one_direction(self) -> Self:
        if self.absolute and self.metric != DEVIATION:
            raise refusal(f"absolute is for metric: deviation alone, not for {self.metric}")
        if (self.less is None) == (self.more is None):
            raise refusal("expected exactly one of less and more")
        if self.than in {self.less, self.more}:
            raise refusal("a method cannot be compared with itself")
        return self

    @property
    def subject(self) -> str:
        """The method that must be below (or above) ``than``."""
        return self.less or self.more or ""


class Stats(Strict):
    """How the uncertainty of numbers from few edits is handled."""

    confidence: Level = Field(0.95, description="Level of the intervals that are shown.")
    correction: Literal["holm", "bh", "none"] = Field(
        "holm",
        description="Multiple-testing correction across a chain's checks with a confidence: Holm, "
        "Benjamini-Hochberg, or none.",
    )
    suite: Literal["holm", "none"] = Field(
        "none",
        description="holm: one multiple-testing correction across all checks with a confidence, "
        "comparisons included, of all specs in the run that ask for it; for publications.",
    )


if TYPE_CHECKING:

    class _OfMetrics(Strict):
        def __getattr__(self, name: str) -> Any: ...

else:
    _OfMetrics = create_model(
        "_OfMetrics",
        __base__=Strict,
        **{
            name: (
                (ShareLimits if each.asked == "unedited" else Bounds) | None,
                Field(None, description=each.asks),
            )
            for name, each in BUILT_IN.items()
            if each.kind == "share"
        },
    )


class Checks(_OfMetrics):
    """What must hold."""

    deviation: DeviationBounds | None = Field(None, description=BUILT_IN[DEVIATION].asks)
    metrics: dict[Annotated[str, AfterValidator(_known_metric)], NumberBounds] = Field(
        {}, description="Limits for metrics that other packages, or a conftest.py, bring."
    )
    abilities: AbilityChecks = Field(
        {}, description="What the model must still be able to do; keep alone may be a number."
    )
    compare: tuple[CompareCheck, ...] = ()
    changed: ChangedBounds | None = Field(
        None, description="What a released checkpoint may have changed of its base."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        growth = self.deviation.checks() if self.deviation else ()
        for name in self.abilities:
            if name in {*type(self).model_fields, *growth, *self.metrics}:
                raise refusal(
                    f"{name!r} is the name of a check and of an ability; rename the ability"
                )
        return self

    def named(self) -> tuple[tuple[str, AnyBounds], ...]:
        """Return the checks of a single chain, by name, in the order of this class."""
        own = ((name, getattr(self, name)) for name in BUILT_IN if name != DEVIATION)
        built_in = [(name, limits) for name, limits in own if limits]
        moved = self.deviation
        deviation = [(name, moved) for name in moved.checks()] if moved else []
        return (*built_in, *deviation, *self.metrics.items(), *self.abilities.items())

    def pooled(self) -> tuple[tuple[str, AnyBounds], ...]:
        """Return the checks that are also judged over several sets of edits: all but growth."""
        growth = self.deviation.growth.checks() if self.deviation and self.deviation.growth else ()
        return tuple((name, bounds) for name, bounds in self.named() if name not in growth)

    def __getitem__(self, name: str) -> AnyBounds:
        """Return a check by the name that node ids show."""
        return dict(self.named())[name]

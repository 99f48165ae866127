"""Limits for deviation: how far the edited matrices move, and how that grows with the edits."""

from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pytest_eac.spec.metrics import DEVIATION
from pytest_eac.spec.types import (
    At,
    Count,
    Level,
    NonNegative,
    Strict,
    require_limit,
    require_uncrossed,
)

_SIZES = ("max_relative", "min_relative", "max", "min")


class GrowthBounds(Strict):
    """Limits for how deviation grows from edit to edit; each is a check of its own."""

    max_exponent: NonNegative | None = Field(
        None,
        description="Largest allowed b of the fitted D(t) = a t^b. Equal steps in unrelated "
        "directions have 0.5 (Frobenius norm), in one direction 1.",
    )
    max_slope: NonNegative | None = Field(
        None, description="Largest allowed Theil-Sen slope, as a share of the norm of W_0 per edit."
    )
    no_acceleration: Literal[True] | None = Field(
        None, description="Later edits do not make larger steps (a trend test of their sizes)."
    )
    no_collapse_before: Count | None = Field(
        None, description="Before edit N, steps do not become twice as large, from some edit on."
    )
    confidence: Level | None = Field(
        None,
        description="Pass max_exponent and max_slope only if other such edits would make it too, "
        "at this level; the other two alarm at 1 - confidence, or 0.05.",
    )

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        require_limit(self, "max_exponent", "max_slope", "no_acceleration", "no_collapse_before")
        return self

    def checks(self) -> tuple[str, ...]:
        """Return the names of the checks that are asked for, as node ids show them."""
        limits = {
            "deviation-exponent": self.max_exponent,
            "deviation-slope": self.max_slope,
            "deviation-acceleration": self.no_acceleration,
            "deviation-collapse": self.no_collapse_before,
        }
        return tuple(name for name, limit in limits.items() if limit is not None)


class DeviationBounds(Strict):
    """Limits for how far the edited matrices have moved from the original."""

    norm: Literal["l1", "frobenius"] = Field("l1", description="L1 is the paper's choice.")
    max_relative: NonNegative | None = Field(
        None, description="Largest allowed norm of W_t - W_0, as a share of the norm of W_0."
    )
    min_relative: NonNegative | None = Field(
        None, description="Least allowed norm of W_t - W_0, as a share of the norm of W_0."
    )
    max: NonNegative | None = Field(None, description="Largest allowed norm of W_t - W_0.")
    min: NonNegative | None = Field(None, description="Least allowed norm of W_t - W_0.")
    at: At = "final"
    growth: GrowthBounds | None = Field(
        None, description="Limits for the whole series of deviations, whatever 'at' says."
    )

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        require_limit(self, *_SIZES, "growth")
        require_uncrossed(self, "min", "max")
        require_uncrossed(self, "min_relative", "max_relative")
        return self

    @field_validator("max", "min")
    @classmethod
    def _is_no_share(cls, limit: float | None, info: ValidationInfo) -> float | None:
        """Refuse a limit below 1 for the L1 norm itself: any edit exceeds it; a share is meant."""
        if limit is not None and 0 < limit < 1 and info.data.get("norm") == "l1":
            raise PydanticCustomError(
                "share",
                "which limits the L1 norm of W_t - W_0 itself; for a share of the norm of W_0 "
                f"write {info.field_name}_relative: {limit:g}",
            )
        return limit

    def checks(self) -> tuple[str, ...]:
        """Return the names of the checks that are asked for, as node ids show them."""
        own = (DEVIATION,) if any(getattr(self, size) is not None for size in _SIZES) else ()
        return (*own, *(self.growth.checks() if self.growth else ()))

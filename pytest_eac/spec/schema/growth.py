"""What must hold of the way deviation grows from edit to edit."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pytest_eac.spec.types import Count, Level, NonNegative, Strict


class GrowthBounds(Strict):
    """Limits for how deviation grows from edit to edit; each is a check of its own."""

    max_exponent: NonNegative | None = Field(
        None, description="Largest allowed b of the fitted D(t) = a t^b; 1 is linear growth."
    )
    max_slope: NonNegative | None = Field(
        None, description="Largest allowed Theil-Sen slope, as a share of the norm of W_0 per edit."
    )
    no_acceleration: Literal[True] | None = Field(
        None, description="Mann-Kendall: an edit does not move the weights more the later it comes."
    )
    no_collapse_before: Count | None = Field(
        None, description="Before edit N, edits do not begin to move the weights twice as much."
    )
    confidence: Level | None = Field(
        None,
        description="Pass max_exponent and max_slope only if other such edits would make it too, "
        "at this level; the other two alarm at 1 - confidence, or 0.05.",
    )

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if not self.checks():
            raise PydanticCustomError(
                "no_limit",
                "nothing is checked; expected max_exponent, max_slope, no_acceleration or "
                "no_collapse_before",
            )
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

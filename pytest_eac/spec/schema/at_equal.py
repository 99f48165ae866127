"""The share at which the deviations of two methods are compared: ``at_equal``."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pytest_eac.spec.metrics import DEVIATION, RECALLED
from pytest_eac.spec.types import Strict, Text, refusal


def _share_of_edits(name: str) -> str:
    if name not in RECALLED:
        raise refusal(f"{name!r} is no share over edits; expected {', '.join(RECALLED)}")
    return name


STRENGTH = "value.clamp"
"""The option that says how strongly a method writes, unless a comparison names another one."""
WEAKER = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""The default strengths besides a method's own, as shares of its own."""


class AtEqual(Strict):
    """The share that is equal where the deviations of two methods are compared."""

    metric: Annotated[str, AfterValidator(_share_of_edits)] = Field(
        description=f"{', '.join(RECALLED)}."
    )
    by: Text = Field(
        STRENGTH,
        description="The option by which both methods write more or less, as a dotted path.",
    )
    values: tuple[Any, ...] | None = Field(
        None,
        min_length=2,
        description="Its values, besides each method's own; by default a sixteenth, an eighth, a "
        "quarter and half of each method's own.",
    )

    @model_validator(mode="after")
    def _says_how_strong(self) -> Self:
        if self.values is None and self.by != STRENGTH:
            raise refusal(f"expected the values of {self.by} as well")
        return self


def _from_metric(value: Any) -> Any:
    return {"metric": value} if isinstance(value, str) else value


AtEqualEntry = Annotated[
    AtEqual | None,
    BeforeValidator(_from_metric, json_schema_input_type=str | AtEqual | None),
    Field(
        description="For deviation: compare it where both methods have the same retention (or "
        "another share), found by running both at several strengths."
    ),
]


def require_matchable(metric: str, by: float | None) -> None:
    """Refuse a comparison at equal shares of anything but deviation, or with a least difference."""
    if metric != DEVIATION:
        raise refusal(f"at_equal is for metric: deviation alone, not for {metric}")
    if by is not None:
        raise refusal("at_equal compares by how many times one deviation is the other; drop by")

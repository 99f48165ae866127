"""Texts, names and numbers as spec files have them."""

from typing import Annotated, Any, Literal
from unicodedata import category

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


class Strict(BaseModel):
    """Frozen; refuses keys that it does not know and values of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


REFUSED = "refused"


def refusal(text: str) -> PydanticCustomError:
    """Return a validation error whose text says all: what was found need not be put before it."""
    return PydanticCustomError(REFUSED, text)


def require_limit(bounds: Strict, *names: str) -> None:
    """Refuse limits of which none is given."""
    if all(getattr(bounds, name) is None for name in names):
        *some, last = names
        raise refusal(f"nothing is checked; expected {', '.join(some)} or {last}")


def require_uncrossed(bounds: Strict, low: str, high: str) -> None:
    """Refuse a least value that is above the largest."""
    least, most = getattr(bounds, low), getattr(bounds, high)
    if least is not None and most is not None and least > most:
        raise refusal(f"{low} is above {high}: no value can pass")


def _strip(value: str) -> str:
    if not value.strip():
        raise refusal("found only white space, expected a text")
    if all(each.isspace() or category(each) == "Cf" for each in value):
        raise refusal("found only invisible characters, expected a text")
    return value.strip()


def as_tuple(value: Any) -> Any:
    """Return a list as a tuple, and a value by itself as a tuple of one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Texts = Annotated[
    tuple[Text, ...], BeforeValidator(as_tuple, json_schema_input_type=Text | tuple[Text, ...])
]
Phrase = Annotated[Text, AfterValidator(_strip)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=80)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Ratio = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Steps = Annotated[int, Field(ge=1, le=10_000)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Level = Annotated[float, Field(ge=0.5, lt=1)]
At = Annotated[
    Literal["final", "every"] | Count,
    Field(description="final, every checkpoint, or the one after N edits."),
]
Seed = Annotated[int, Field(ge=0, lt=2**32)]

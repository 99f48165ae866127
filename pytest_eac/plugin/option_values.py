"""Readers of the values of options; each raises ``ValueError`` with what was found and expected."""

import math
from collections.abc import Callable


def dtype(text: str) -> str:
    """Read a type of weights."""
    known = ("auto", "float32", "bfloat16", "float16")
    if text not in known:
        raise ValueError(f"found {text!r}, expected {', '.join(known)}")
    return text


def whole_number(least: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from ``least`` on."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number < 2**32:
            raise ValueError(f"found {text!r}, expected a whole number from {least}")
        return number

    return read


def gibibytes(text: str) -> float:
    """Read a size in GiB."""
    size = _number(text)
    if not 0 < size < math.inf:
        raise ValueError(f"found {text!r}, expected a number of GiB above 0, such as 4 or 0.5")
    return size


def tolerance(text: str) -> tuple[str, float]:
    """Read ``locality:2%`` or ``locality:0.02``; an ability may have a colon in its name."""
    metric, _, amount = text.rpartition(":")
    tolerance = _number(amount.removesuffix("%")) / (100 if amount.endswith("%") else 1)
    if not metric or not 0 <= tolerance < math.inf:
        raise ValueError(
            f"found {text!r}, expected a metric and what is tolerated, such as locality:2% or "
            "locality:0.02"
        )
    return metric, tolerance


def across(text: str) -> str:
    """Read a difference that two chains may have and still be compared."""
    from pytest_eac.judging.comparable import ACROSS

    if text not in ACROSS:
        raise ValueError(f"found {text!r}, expected {' or '.join(ACROSS)}")
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan

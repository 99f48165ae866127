"""What was probably meant: common mistakes in the limits of a spec, and what to write instead."""

from collections.abc import Sequence
from typing import Any

from pytest_eac.spec.registry import ABILITIES, METRICS, names
from pytest_eac.spec.schema.abilities import BUILT_IN, LM_EVAL
from pytest_eac.spec.yaml.places import Where

# The key to write where a number was given in place of limits, and an example of its value.
_USUAL = {
    "deviation": ("max_relative", "0.1"),
    "growth": ("max_exponent", "1.0"),
    "changed": ("max_relative", "0.5"),
    "metrics": ("max", "0.1"),
    "abilities": ("keep", "0.8"),
}
_SHARE = ("min", "0.9")

_WORDS = {
    "min": ("minimum", "at_least", "least", "lower", "above", "threshold", "ge", "gt", ">=", ">"),
    "max": ("maximum", "at_most", "most", "upper", "below", "le", "lt", "<=", "<"),
    "at": ("after", "checkpoint", "checkpoints", "edits", "when"),
    "confidence": ("level", "ci", "significance", "confident"),
}
_MEANT = {word: key for key, words in _WORDS.items() for word in words}
# Where one kind of limits has another key for the same.
_CALLED = {
    "deviation": {"relative": "max_relative"},
    "growth": {"max": "max_exponent", "linear": "max_exponent"},
    "changed": {"max": "max_relative", "relative": "max_relative", "tensors": "only"},
    "abilities": {"min_relative": "keep", "relative": "keep"},
}
_PLAIN = {"keep": "min", "min_relative": "min", "max_relative": "max"}


def _kind(path: Where) -> str | None:
    """Return the kind of limits at a path; ``None`` if there are no limits."""
    match path:
        case ("checks", "deviation", "growth"):
            return "growth"
        case ("checks", "metrics" | "abilities" as group, _):
            return group
        case ("checks", str(name)) if name not in {"metrics", "abilities", "compare"}:
            return name
    return None


def key_meant(path: Where, known: Sequence[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for a key that is often written by mistake, or nothing.

    Args:
        path: of the unknown key.
        known: the keys that there are.
    """
    key = str(path[-1])
    if path == ("checks", key):
        return _group_of(key)
    kind = _kind(path[:-1])
    if kind is None:
        return ""
    plain = _MEANT.get(key.casefold(), key.casefold())
    if kind == "deviation" and plain in {"min", "max"}:
        return f"; write {plain}_relative, a share of the norm of W_0, or {plain}, the norm itself"
    meant = _CALLED.get(kind, _PLAIN).get(plain, plain)
    return f"; did you mean {meant!r}?" if meant in known else ""


def _group_of(name: str) -> str:
    """Return where to write a check that was written outside its group."""
    if name in {*BUILT_IN, *names(ABILITIES)} or name.startswith(LM_EVAL):
        return "; this is an ability: write it under 'abilities'"
    if name in names(METRICS):
        return "; this is a metric: write it under 'metrics'"
    return ""


def limits_meant(path: Where, found: Any) -> str:
    """Return how to write a value that was given in place of limits; empty for other places."""
    if path == ("checks", "abilities"):
        return "; write each with its limit, such as {nli: 0.8}"
    kind = _kind(path)
    if kind is None:
        return ""
    key, example = _USUAL.get(kind, _SHARE)
    number = _number(found)
    if kind == "growth" and found == "no_acceleration":
        return "; write {no_acceleration: true}"
    if kind == "changed" and isinstance(found, tuple):
        return "; write {only: [...]}"
    if number is None or (key == "min" and number > 1):
        return f"; write limits, such as {{{key}: {example}}}"
    other = f" or {{min: {number:g}}}" if kind == "metrics" else ""
    return f"; write {{{key}: {number:g}}}{other}"


def share_meant(found: Any) -> str:
    """Return how to write a share that was given in percent or as a text."""
    number = _number(found)
    if isinstance(found, str) and number is not None:
        return f"; write {number:g}"
    return f"; is it in percent? write {number / 100:g}" if number and 2 <= number <= 100 else ""


def _number(found: Any) -> float | None:
    """Return a number, or one that is written as a text or in percent."""
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    text = str(found).lstrip("<>= ")
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None

"""The nearest known name, for error messages."""

from collections.abc import Iterable
from difflib import get_close_matches


def closest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"``, or the known names where none is near."""
    known = list(known)
    return nearest(name, known) or (f"; known are {', '.join(known)}" if known else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"``, or nothing where no known name is near."""
    by_letters = {each.casefold(): each for each in known}
    near = get_close_matches(name.casefold(), by_letters, n=1, cutoff=0.6)
    return f"; did you mean {by_letters[near[0]]!r}?" if near else ""

"""Texts that fit into 80 columns."""

import textwrap


def wrapped(text: str) -> list[str]:
    """Break a text into lines of 80 columns; those after the first are set in."""
    return textwrap.wrap(text, 80, subsequent_indent="  ", break_on_hyphens=False)


def fit(text: str, width: int) -> str:
    """Leave out the middle of a text that is too long: names differ at both ends."""
    half = (width - 3) // 2
    return text if len(text) <= width else f"{text[: width - 3 - half]}...{text[-half:]}"

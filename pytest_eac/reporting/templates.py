"""The templates of HTML and SVG, in which every text is escaped."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_eac.untrusted_text import visible

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def template(name: str) -> Template:
    """Return a template by its path in this folder."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pytest_eac.reporting", "."),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, percent=_percent)
    return environment.get_template(name)


def _visible(value: Any) -> Any:
    """Show what is invisible in a text; what a template marks as safe is left as it is."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _number(value: float | None, digits: int = 3) -> str:
    """Return a number as it is read; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}g}"


def _percent(value: float | None) -> str:
    """Return a share as a percentage; a dash where there is none."""
    return "-" if value is None else f"{value:.1%}"

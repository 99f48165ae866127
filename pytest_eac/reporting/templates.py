"""The templates of HTML, SVG and Markdown, in which every text is escaped."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from pytest_eac.untrusted_text import markdown, visible

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def template(name: str) -> Template:
    """Return a template by its path in the package."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    is_markdown = name.endswith(".md.j2")
    environment = Environment(
        loader=PackageLoader("pytest_eac", "."),
        autoescape=not is_markdown,  # noqa: S701 - Markdown has an escape of its own
        finalize=partial(_harmless, markdown if is_markdown else visible),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, percent=_percent)
    return environment.get_template(name)


def _harmless(show: Callable[[str], str], value: Any) -> Any:
    """Show a text; what a template marks as safe is left as it is."""
    return show(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _number(value: float | None, digits: int = 3) -> str:
    """Return a number as it is read; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}g}"


def _percent(value: float | None) -> str:
    """Return a share as a percentage; a dash where there is none."""
    return "-" if value is None else f"{value:.1%}"

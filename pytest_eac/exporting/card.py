"""The model card of an export, which the template beside this file writes."""

from __future__ import annotations

from typing import Any

from pytest_eac.records.manifest import Manifest
from pytest_eac.untrusted_text import markdown


def model_card(manifest: Manifest) -> str:
    """Return a model card in Markdown, with the metadata that the hub reads."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - Markdown, for which _harmless escapes every text
        loader=PackageLoader("pytest_eac.exporting", "."),
        finalize=_harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("card.md.j2").render(it=manifest)


def _harmless(value: Any) -> Any:
    """Return a text as Markdown shows it; what is JSON already is left as it is."""
    return markdown(value) if isinstance(value, str) and not hasattr(value, "__html__") else value

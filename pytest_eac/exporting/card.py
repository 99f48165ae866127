"""The model card of an export, which the template beside this file writes."""

from pytest_eac.records.manifest import Manifest
from pytest_eac.reporting.templates import template


def model_card(manifest: Manifest) -> str:
    """Return a model card in Markdown, with the metadata that the hub reads."""
    return template("exporting/card.md.j2").render(it=manifest)

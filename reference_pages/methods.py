"""The built-in methods, from their table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_eac.spec.methods import BUILT_IN, CONTROLS
from reference_pages.tables import code, table

if TYPE_CHECKING:
    from pytest_eac.spec.registry_entries import Method

_INTRO = """# Methods

The names that `methods:` knows. `NAME-eac` is the same update with the value that Editing Anchor
Compression solves for. [The methods](../methods.md) has the formulas, [the keys](keys.md) what
their options mean.
"""


def methods_page() -> str:
    """Return the page."""
    rows = (_row(name, method) for name, method in BUILT_IN.items() if not method.anchors)
    head = (
        "name",
        "with EAC",
        "edits per update",
        "layers",
        "covariance",
        "earlier edits",
        "`update:`",
        "source",
    )
    controls = " and ".join(code(each) for each in CONTROLS)
    last = f"{controls} are bases of controls, which mirror another method (`like`).\n"
    return f"{_INTRO}\n{table(head, rows)}\n{last}"


def _row(name: str, method: Method) -> tuple[str, ...]:
    twin = f"{name}-eac"
    return (
        code(name),
        code(twin) if twin in BUILT_IN else "",
        "many" if method.many_edits else "one",
        "several" if method.many_layers else "one",
        ("read, or none" if method.covariance_optional else "read") if method.covariance else "",
        "protected" if method.protects else "",
        ", ".join(
            code(f"{key}: {_shown(value)}") for key, value in method.update().model_dump().items()
        ),
        method.source,
    )


def _shown(value: float | str | None) -> str:
    if value is None:
        return "by the model"
    return value if isinstance(value, str) else json.dumps(round(value, 6))

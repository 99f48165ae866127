"""The results file, from the record's dataclasses and their docstrings."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
from typing import Any

from pytest_eac.records import checkpoint_diff, results_file, run
from reference_pages.tables import code, table

_INTRO = """# The results file

What `--eac-results=FILE` writes: one JSON object, a `ResultsLayout`. A type that is named here has
a section of its own. `null` stands for None. [What each number means](../metrics.md) explains the
numbers.

Numbers are finite, and of these kinds:

| type | what it is |
| --- | --- |
| `Count` | a whole number from 0 |
| `Share` | a number from 0 to 1 |
| `Level` | a number between 0 and 1 |
| `Size` | a number from 0 to 1e60: seconds, and norms of weights |
| `Number` | a number from -1e300 to 1e300 |

A file is checked when it is read: its numbers, and that its parts fit together (as many scores as
edits, checkpoints in order, misses of edits that are there, abilities with as many scores as the
unedited model's). What does not is an error that names the chain and the field. Objects have no key
twice, whole numbers fit in 64 bits, and nothing lies deeper than 32 lists and objects.
"""
_FIELD = re.compile(r"^    (\w+): (.*(?:\n        .*)*)", flags=re.MULTILINE)


def results_page() -> str:
    """Return the page, the file as a whole first."""
    modules = (results_file, run, checkpoint_diff)
    found = {name: each for module in modules for name, each in vars(module).items()}
    known = {name: each for name, each in found.items() if is_dataclass(each)}
    reached = _reached(results_file.ResultsLayout, known)
    return "\n".join([_INTRO, *map(_section, reached)])


def _reached(kind: type, known: dict[str, Any]) -> dict[type, None]:
    """Return a type and those that its fields name, and so on, each once."""
    reached: dict[type, None] = {kind: None}
    for named in re.findall(r"\w+", " ".join(str(each.type) for each in fields(kind))):
        if named in known and known[named] not in reached:
            reached |= _reached(known[named], known)
    return reached


def _section(kind: type) -> str:
    text = inspect.cleandoc(kind.__doc__ or "").partition("\n\nAttributes:\n")[0]
    explained = dict(_FIELD.findall("\n".join(_attributes(each) for each in kind.__mro__[::-1])))
    rows = [(each.name, str(each.type)) for each in fields(kind)]
    if explained:
        cells = [(code(name), code(typed), explained.get(name, "")) for name, typed in rows]
        body = table(("field", "type", "meaning"), cells)
    else:
        body = table(("field", "type"), [(code(name), code(typed)) for name, typed in rows])
    return f"## {kind.__name__}\n\n{text}\n\n{body}".replace("``", "`")


def _attributes(kind: type) -> str:
    """Return what a docstring says of its class's own fields."""
    return inspect.cleandoc(kind.__dict__.get("__doc__") or "").partition("\n\nAttributes:\n")[2]

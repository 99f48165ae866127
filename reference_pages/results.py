"""The results file, from the record's dataclasses and their docstrings."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass

from pytest_eac.records import run
from pytest_eac.records.checkpoint_diff import Changes, ExtraFile, TensorDifference
from reference_pages.tables import code, table

_INTRO = """# The results file

What `--eac-results=FILE` writes: one JSON object, a `Record`. A type that is named here has a
section of its own. `null` stands for None. [What each number means](../metrics.md) explains the
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
    found = [each for each in vars(run).values() if _is_ours(each)]
    found.sort(key=lambda each: each is not run.Record)
    return "\n".join(
        [_INTRO, *(_section(each) for each in [*found, Changes, TensorDifference, ExtraFile])]
    )


def _is_ours(value: object) -> bool:
    return inspect.isclass(value) and is_dataclass(value) and value.__module__ == run.__name__


def _section(kind: type) -> str:
    text, _, attributes = inspect.cleandoc(kind.__doc__ or "").partition("\n\nAttributes:\n")
    explained = dict(_FIELD.findall(attributes))
    rows = [(each.name, str(each.type)) for each in fields(kind)]
    if explained:
        cells = [(code(name), code(typed), explained.get(name, "")) for name, typed in rows]
        body = table(("field", "type", "meaning"), cells)
    else:
        body = table(("field", "type"), [(code(name), code(typed)) for name, typed in rows])
    return f"## {kind.__name__}\n\n{text}\n\n{body}".replace("``", "`")

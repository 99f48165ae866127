"""Changes of values, texts and bytes that are right, so that an input reaches deep into a reader.

Python's ``random`` is enough for that: what matters is what a change knows of the format. An input
is then made again by its seed, kind and number alone, at no cost; Hypothesis would keep a database
and spend its time on shrinking, and atheris needs instrumented builds of Python and Rust code.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 0.5, 1e308, 10**30, float("nan"), float("inf"), "", " ", "x"),
    *(
        "\0",
        "\n",
        "~no-such-user/x",
        "~",
        ".",
        "/",
        "..",
        "x.gguf",
        "hub:",
        "package:",
        "package:a/../b",
    ),
    *(
        "{}",
        "{0}",
        "{} {}",
        "%s",
        "\\",
        "\ud800",
        "\u2028",
        "é" * 300,
        "x" * 5000,
        "rome",
        "random",
    ),
    *("lm_eval:", "every", "no", "1", "eac", "base.yaml", "facts.jsonl", "deviation", "perplexity"),
    *(
        [],
        {},
        [[]],
        [{}],
        {"": None},
        [0] * 50,
        {"base": "rome"},
        {"from": "x"},
        {"min": 0, "max": 1},
    ),
    *({"a b": 1}, [None], ["rome", "rome"], {"1": {}}, [[[[[[]]]]]], {"id": 3}, {"__class__": "x"}),
)

PIECES = (
    *(
        "a: ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        ": ",
        ":",
        "\n",
        "\n  ",
        "\n    ",
        " ",
        "\t",
        "#",
        "? ",
    ),
    *("'", '"', "''", "|", ">-", "|2\n", "<<: ", "*x", "&x ", "!!str ", "!!int ", "!t ", "!", "~"),
    *(
        "no",
        "1_0",
        "0o7",
        "0x",
        "1e3",
        ".5",
        ".nan",
        "12:30",
        "2001-01-01",
        "=",
        "---\n",
        "...\n",
        "\\",
    ),
    *(
        "\\ud800",
        "\\x",
        "\x00",
        "\x85",
        "\u2028",
        "\ufeff",
        "é",
        "😀",
        "%",
        "%YAML 1.1\n",
        "@",
        "`",
    ),
    *(
        "eac: 1\n",
        "edits:\n",
        "checks:\n",
        "  efficacy: ",
        "methods: ",
        "null",
        "9" * 30,
        "{}: ",
        "_",
    ),
)


def soup(rng: random.Random) -> str:
    """Return pieces of YAML in no order."""
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 14)))


def changed_value(rng: random.Random, value: Any, more: Sequence[Any] = ()) -> Any:
    """Return a copy with a few values, keys or items replaced, dropped or doubled.

    A value is replaced by one that is odd anywhere, by one of ``more``, or by one near it.
    """
    root = [copy.deepcopy(value)]
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        places: list[tuple[Any, Any]] = []
        pending: list[Any] = [root]
        while pending:
            found = pending.pop()
            inner = list(found.items() if isinstance(found, dict) else enumerate(found))
            places += [(found, key) for key, _ in inner]
            pending += [each for _, each in inner if isinstance(each, dict | list)]
        holder, key = rng.choice(places)
        how = rng.randrange(5)
        if how == 0 and holder is not root:
            del holder[key]
        elif how == 1 and isinstance(holder, dict):
            holder[rng.choice((str(rng.choice(ODD)), key + "s", key[:-1]))] = holder.pop(key)
        elif how == 2 and isinstance(holder, list) and holder is not root:
            holder.append(holder[key])
        else:
            pools = (ODD, _near(holder[key]), more or ODD)
            holder[key] = copy.deepcopy(rng.choice(rng.choice(pools)))
    return root[0]


def _near(value: Any) -> tuple[Any, ...]:
    """Return values that one could take for this one: of another type, or a little beside it."""
    found: tuple[Any, ...] = (str(value)[:1000], [value], {"a": value}, None)
    if isinstance(value, bool):
        return (*found, not value, int(value))
    if isinstance(value, int | float):
        return (*found, value + 1, value - 1, -value, value * 2, float(value), 0, value * 1000)
    if isinstance(value, str):
        return (*found, value.upper(), f"{value} ", value[1:], value * 2)
    return found


def changed_text(rng: random.Random, text: str) -> str:
    """Return a text with a few pieces inserted, lines doubled, or parts cut out or off."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randint(0, len(text))
        how = rng.randrange(4)
        if how == 0:
            text = text[:at] + rng.choice(PIECES) + text[at + rng.randint(0, 3) :]
        elif how == 1:
            text = text[:at] + text[at + rng.randint(1, 40) :]
        elif how == 2:
            lines = text.split("\n")
            lines.insert(rng.randint(0, len(lines)), rng.choice(lines))
            text = "\n".join(lines)
        else:
            text = text[:at]
    return text


def changed_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with up to ten of them replaced, at times cut off."""
    found = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 3, 10))):
        if found:
            found[rng.randrange(len(found))] = rng.randrange(256)
    return bytes(found[: rng.randint(0, len(found))] if rng.random() < 0.2 else found)


def changed_json(rng: random.Random, value: Any) -> bytes:
    """Return a value as JSON after a few changes of the value, its text and its bytes."""
    text = json.dumps(changed_value(rng, value))
    if rng.random() < 0.3:
        text = changed_text(rng, text)
    return changed_bytes(rng, text.encode("utf-8", "surrogatepass"))

"""Broken and hostile inputs for whatever reads files: specs, data files, results files.

    python -m benchmarks.fuzz COUNT [--seed N] [--keep FOLDER]

Each input must end in a value or in an error of this package, within a second of processor time,
and an error must have a text that can be printed. Anything else is counted, kept in FOLDER, and
makes the exit code 1.
An input depends on the seed and its number alone.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pytest_eac.errors import EacError, SpecError
from pytest_eac.spec.detect import is_spec
from pytest_eac.spec.entries import EditSource
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.marked import parse
from pytest_eac.spec.sources import read_source
from pytest_eac.store import read_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_eac.spec.edits import Edit

ROOT = Path(__file__).parents[1]
SECONDS = 1.0

_EDIT = {
    "subject": "The Louvre",
    "prompt": "{} is located in the city of",
    "target": "Rome",
    "truth": "Paris",
    "paraphrases": ["To visit The Louvre, fly to"],
    "neighborhood": [{"prompt": "The Prado is located in", "answer": "Madrid"}, {"prompt": "a"}],
}
# Every key that a spec can have, most of them with a value that is right.
_SPEC: dict[str, Any] = {
    "eac": 1,
    "extends": "base.yaml",
    "name": "landmarks",
    "model": {"id": "package:x", "dtype": "float32", "device": "auto", "revision": None},
    "methods": [
        "rome",
        {"own": {"base": "rome-eac", "anchors": {"ratio": 0.1, "steps": 40}, "layers": [3]}},
        {"chance": {"base": "random", "like": "own"}},
        {"wide": {"base": "memit-eac", "layers": "auto", "update": {"weight": 100}}},
        {"text": {"base": "rome", "covariance": {"corpus": "hub:x", "tokens": 10, "ridge": 0.1}}},
        {"rest": {"base": "rome-eac", "preset": "released", "contexts": {"lengths": [[5, 10]]}}},
    ],
    "seeds": [0, 1],
    "edits": [_EDIT, _EDIT, {"from": "facts.jsonl", "format": "jsonl", "take": 1, "seed": 7}],
    "sequence": {"batch": 1, "checkpoints": [1, 2]},
    "scoring": {"match": "accuracy"},
    "checks": {
        "known": {"min": 0.9},
        "efficacy": {"min": 0.95, "confidence": 0.95},
        "generalization": {"min": 0.6, "at": "final"},
        "locality": {"min": 0.8, "at": "every"},
        "retention": {"max": 1.0, "at": 1},
        "deviation": {
            "max_relative": 0.2,
            "norm": "l1",
            "growth": {"max_exponent": 1.0, "no_acceleration": True, "confidence": 0.9},
        },
        "metrics": {"own": {"max": 1}},
        "abilities": {"nli": {"keep": 0.7}, "drift": 0.9, "lm_eval:x": {"keep": 0.5}},
        "changed": {"only": ["*.weight"], "max_rank": 10},
        "compare": [{"metric": "deviation", "less": "own", "than": "rome", "by": 0.1}],
    },
    "stats": {"confidence": 0.95, "correction": "holm"},
    "orderings": {
        "examples": 3,
        "hold": ["efficacy"],
        "spread": {"efficacy": 0.1},
        "state": 0.1,
        "kinds": ["permutation"],
        "budget": {"edits": 3, "seconds": 1.5},
    },
    "known_issues": [{"check": "efficacy", "method": "rome", "reason": "so it is"}],
    "marks": ["gate"],
    "fixtures": ["mine"],
}
_COUNTERFACT = {
    "case_id": 1,
    "requested_rewrite": {
        "prompt": "{} is in",
        "subject": "Oslo",
        "target_new": {"str": "Peru", "id": "Q1"},
        "target_true": {"str": "Norway"},
    },
    "paraphrase_prompts": ["Go to Oslo, in"],
    "neighborhood_prompts": ["Bergen is in"],
}
_ZSRE = {
    "subject": "Oslo",
    "src": "Where is Oslo?",
    "rephrase": "What has Oslo?",
    "alt": "Peru",
    "answers": ["Norway"],
    "loc": "nq question: who",
    "loc_ans": "Ada",
}
_RECORD = {
    "schema": 1,
    "environment": {"torch": "2.6"},
    "chains": [{"spec": "a", "method": "rome", "seed": 0, "checkpoints": [{"at": 1}]}],
    "comparisons": [],
}
_ODD: tuple[Any, ...] = (
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
_PIECES = (
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


class HangError(BaseException):
    """An input took too long; no ``except Exception`` may swallow it."""


def _soup(rng: random.Random) -> str:
    return "".join(rng.choice(_PIECES) for _ in range(rng.randint(1, 14)))


def _changed_value(rng: random.Random, value: Any) -> Any:
    """Return a copy with a few values, keys or items replaced, dropped or doubled."""
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
            holder[rng.choice((str(rng.choice(_ODD)), key + "s", key[:-1]))] = holder.pop(key)
        elif how == 2 and isinstance(holder, list) and holder is not root:
            holder.append(holder[key])
        else:
            holder[key] = copy.deepcopy(rng.choice(_ODD))
    return root[0]


def _changed_text(rng: random.Random, text: str) -> str:
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randint(0, len(text))
        how = rng.randrange(4)
        if how == 0:
            text = text[:at] + rng.choice(_PIECES) + text[at + rng.randint(0, 3) :]
        elif how == 1:
            text = text[:at] + text[at + rng.randint(1, 40) :]
        elif how == 2:
            lines = text.split("\n")
            lines.insert(rng.randint(0, len(lines)), rng.choice(lines))
            text = "\n".join(lines)
        else:
            text = text[:at]
    return text


def _changed_bytes(rng: random.Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 3, 10))):
        if found:
            found[rng.randrange(len(found))] = rng.randrange(256)
    return bytes(found[: rng.randint(0, len(found))] if rng.random() < 0.2 else found)


class Fuzzer:
    """Makes inputs and has them read, in a folder of its own."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.file = folder / "some.eac.yaml"
        self.specs = [path.read_text("utf-8") for path in (ROOT / "specs").glob("*.eac.yaml")]
        plain = [json.dumps(parse(text, self.file).value) for text in self.specs]
        self.values = [_SPEC, *map(json.loads, plain)]
        shutil.copy(ROOT / "specs" / "thirty-facts.jsonl", folder)
        (folder / "base.yaml").write_text("eac: 1\nchecks: {efficacy: {min: 0.5}}\n", "utf-8")
        (folder / "facts.jsonl").write_text(json.dumps(_EDIT) + "\n", "utf-8")
        self.kinds: dict[str, tuple[int, Callable[[random.Random], bytes]]] = {
            "soup": (4, lambda rng: _soup(rng).encode("utf-8", "surrogatepass")),
            "spec": (5, self._structured),
            "text": (1, self._text),
            "counterfact": (2, lambda rng: self._data(rng, [_COUNTERFACT] * 2)),
            "zsre": (2, lambda rng: self._data(rng, [_ZSRE] * 2)),
            "jsonl": (2, self._lines),
            "record": (1, lambda rng: self._data(rng, _RECORD)),
        }

    def _structured(self, rng: random.Random) -> bytes:
        value = _changed_value(rng, rng.choice(self.values))
        return json.dumps(
            value, indent=rng.choice((None, 1)), ensure_ascii=rng.random() < 0.5
        ).encode("utf-8", "surrogatepass")

    def _text(self, rng: random.Random) -> bytes:
        text = _changed_text(rng, rng.choice(self.specs))
        return _changed_bytes(rng, text.encode("utf-8", "surrogatepass"))

    def _data(self, rng: random.Random, value: Any) -> bytes:
        text = json.dumps(_changed_value(rng, value))
        if rng.random() < 0.3:
            text = _changed_text(rng, text)
        return _changed_bytes(rng, text.encode("utf-8", "surrogatepass"))

    def _lines(self, rng: random.Random) -> bytes:
        lines = [self._data(rng, _EDIT) for _ in range(rng.randint(0, 3))]
        return b"\n".join(lines)

    def make(self, number: int) -> tuple[str, bytes]:
        """Return the kind and the bytes of an input."""
        rng = random.Random(f"{self.seed}-{number}")
        weights = [weight for weight, _ in self.kinds.values()]
        kind = rng.choices(list(self.kinds), weights)[0]
        return kind, self.kinds[kind][1](rng)

    def read(self, kind: str, data: bytes) -> str:
        """Have an input read; says what came of it.

        Raises:
            HangError: it took too long.
            Exception: it is not refused as it should be.
        """
        self.file.write_bytes(data)
        try:
            if kind == "record":
                read_record(self.file)
            elif kind in {"soup", "spec", "text"}:
                is_spec(self.file)
                _check_texts(load_spec(self.file).edits)
            else:
                source = EditSource.model_validate({"from": self.file.name, "format": kind})
                _check_texts(read_source(source, self.file))
        except EacError as error:
            str(error).encode()
            if isinstance(error, SpecError):
                _check_places(error)
            return f"{kind}: {type(error).__name__}"
        return f"{kind}: read"


def _check_texts(edits: tuple[Edit, ...]) -> None:
    json.dumps([asdict(edit) for edit in edits], ensure_ascii=False).encode()


def _check_places(error: SpecError) -> None:
    if not error.problems:
        raise ValueError("an error without a problem")
    if any(each.line < 1 or each.column < 1 for each in error.problems):
        raise ValueError("a problem without a place")


def _alarm(*_: object) -> None:
    raise HangError


def run(count: int, seed: int, keep: Path | None) -> Counter[str]:
    """Read ``count`` inputs and return how many ended how; what is wrong begins with ``!``."""
    outcomes: Counter[str] = Counter()
    signal.signal(signal.SIGVTALRM, _alarm)
    with TemporaryDirectory() as folder:
        fuzzer = Fuzzer(Path(folder), seed)
        for number in range(count):
            kind, data = fuzzer.make(number)
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
            try:
                outcome = fuzzer.read(kind, data)
            except (HangError, Exception) as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                outcome = f"! {kind}: {type(error).__name__} in {where.name}, line {where.lineno}"
                if keep is not None and not outcomes[outcome]:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{kind}-{number}").write_bytes(data)
                    (keep / f"{kind}-{number}.txt").write_text(traceback.format_exc(), "utf-8")
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            outcomes[outcome] += 1
    return outcomes


def main() -> int:
    """Run from the command line; the exit code is 1 if an input was not refused as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, metavar="COUNT")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    chosen = parser.parse_args()
    start = time.perf_counter()
    outcomes = run(chosen.count, chosen.seed, chosen.keep)
    for outcome, times in sorted(outcomes.items()):
        print(f"{times:>9,}  {outcome}")
    print(f"{chosen.count:,} inputs in {time.perf_counter() - start:.0f} s")
    return int(any(outcome.startswith("!") for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())

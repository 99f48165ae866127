"""Whether two results files hold the same numbers, whatever versions of this package wrote them.

    python -m benchmarks.equal_records BEFORE.json AFTER.json

Times, memory, versions and what the cache did are left out, and so is the layout: every other value
is compared under its place, in which lists are numbered. The exit code is 1 if any differs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEFT_OUT = {"seconds", "peak_bytes", "cached", "cached_measurements", "environment", "schema"}
_METRICS = ("efficacy", "generalization", "locality", "retention")
_SHOWN = 20


def values(found: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value with its place."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key not in _LEFT_OUT:
                yield from values(value, f"{place}.{key}")
    elif isinstance(found, list):
        for index, value in enumerate(found):
            yield from values(value, f"{place}[{index}]")
    else:
        yield place, found


def one_layout(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record in one layout: each chain has all that is its own, each miss its texts."""
    models, edits = record.pop("models", None), record.pop("edits", None)
    for chain in (*record["chains"], *(each["chain"] for each in record.get("unfinished", ()))):
        if models is not None:
            _expand(chain, models, edits)
        update = chain["hyperparameters"].get("update") or {}  # schema 1 had those of all methods
        chain["hyperparameters"]["update"] = {k: v for k, v in update.items() if v is not None}
        for edit in chain["edits"]:
            paraphrases = edit.pop("paraphrases", ())
            edit.setdefault("generalization", [{"prompt": p, "answer": None} for p in paraphrases])
            edit.setdefault("locality", edit.pop("neighborhood", []))
        for point in (*chain["checkpoints"], *chain.get("orders", ())):
            old = {name: point.pop(name) for name in _METRICS if name in point}
            point["metrics"] = {**old, **point.get("metrics", {})}
        chain["orders"] = [
            {
                **order,
                "metrics": {name: order["metrics"].get(name) for name in ("efficacy", "retention")},
            }
            for order in chain.get("orders", ())
        ]
    return record


def _expand(chain: dict[str, Any], models: Any, edits: Any) -> None:
    """Put into a chain what a file of schema 2 or later has once for all of them."""
    chain["model"] = models[chain["model"]]
    chain["released"] = None if chain["released"] is None else models[chain["released"]]
    del chain["sample"]
    for own in chain["edits"]:
        shared = edits[own.pop("edit")]
        texts = shared["texts"]
        own |= {"origin": shared["origin"], "space": shared["space"]}
        own |= {**texts, **texts["probes"]}
        del own["probes"]
    measured = [chain["known"], *(m for p in chain["checkpoints"] for m in p["metrics"].values())]
    for miss in (miss for each in measured for miss in each["misses"]):
        edit, group, index = chain["edits"][miss["edit"]], miss.pop("group"), miss.pop("index")
        own = group in {"prompt", "truth"}
        before = miss.pop("before")
        miss["prompt"] = edit["prompt"] if own else edit[group][index]["prompt"]
        expected = edit["truth" if group == "truth" else "target"]
        miss["expected"] = expected if before is None else before


def main() -> int:
    """Compare two files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    given = parser.parse_args()
    one, two = (
        dict(values(one_layout(json.loads(path.read_text(encoding="utf-8")))))
        for path in (given.before, given.after)
    )
    differing = [place for place in {**one, **two} if one.get(place, ...) != two.get(place, ...)]
    for place in differing[:_SHOWN]:
        print(f"{place}: {one.get(place, 'absent')!r:.80} -> {two.get(place, 'absent')!r:.80}")
    print(f"{len(one)} values before, {len(two)} after, {len(differing)} differ")
    return bool(differing)


if __name__ == "__main__":
    raise SystemExit(main())

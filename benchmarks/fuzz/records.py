"""Results files: read, and then judged, reported, compared and explained as any other."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.fuzz.kind import Kind
from benchmarks.fuzz.mutate import changed_json
from benchmarks.fuzz.nudge import nudged
from pytest_eac.errors import EacError
from pytest_eac.judging.checks import judge
from pytest_eac.judging.compare_checks import compare
from pytest_eac.judging.run_comparison import NamedRun, compare_runs
from pytest_eac.judging.stored_chains import StoredRecord, unrecorded
from pytest_eac.plugin.baseline_records import Baseline
from pytest_eac.records.json_files import from_json
from pytest_eac.records.run import EDITED, ChainKey, EditTexts
from pytest_eac.reporting.causality import causality_lines
from pytest_eac.reporting.explanation import COMPARE, NamedCheck, explanation
from pytest_eac.reporting.html.page import report_page
from pytest_eac.reporting.markdown import summary
from pytest_eac.reporting.outcomes import Outcome
from pytest_eac.reporting.run_diff import (
    comparison_json,
    comparison_markdown,
    comparison_text,
)
from pytest_eac.reporting.terminal import summary_lines
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.spec import comparison_id
from pytest_eac.store import read_record, write_record

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from pytest_eac.records.run import Chain, Record
    from pytest_eac.spec.spec import Spec

_FIXTURE = Path(__file__).parents[2] / "fixtures" / "smollm2-thirty-edits.json"
_SPEC = "small.eac.yaml"
_AT = (1, 2, 4)
_ABILITIES = ("nli", "perplexity", "generation")
_ITEMS = 5
_TOLERATED = (("efficacy", 0.0), ("deviation", 0.1), ("perplexity", 0.1))
_OUTCOME = Outcome(name="a", outcome="failed", file=_SPEC, line=1, message="b")
_GROWTH = {
    "max_exponent": 1.0,
    "max_slope": 1.0,
    "confidence": 0.9,
    "no_acceleration": True,
    "no_collapse_before": 3,
}
_CHECKS = {
    "known": {"min": 0.5, "confidence": 0.9},
    "efficacy": {"min": 0.5, "confidence": 0.9, "at": "every"},
    "generalization": {"min": 0.3},
    "locality": {"min": 0.3, "at": 2},
    "retention": {"max": 0.9, "confidence": 0.9},
    "deviation": {"max_relative": 0.2, "max": 1000, "at": "every", "growth": _GROWTH},
    "abilities": {
        "nli": {"keep": 0.7, "confidence": 0.9, "above_chance": 0.5},
        "perplexity": {"keep": 0.7, "at": "every"},
        "generation": {"keep": 0.5, "min": 0.1},
    },
    "changed": {"max_rank": 10},
    "compare": [
        {"metric": "deviation", "less": "rome-eac", "than": "rome"},
        {"metric": "efficacy", "more": "rome-eac", "than": "rome", "confidence": 0.95},
        {"metric": "perplexity", "less": "rome-eac", "than": "rome", "by": 0.1, "confidence": 0.9},
        {"metric": "nli", "more": "rome-eac", "than": "rome"},
    ],
}


@cache
def small_record() -> Any:
    """Return a real record, cut down to four edits, with one of everything that one may hold."""
    data = json.loads(_FIXTURE.read_text("utf-8"))
    data["edits"] = [_cut_edit(edit) for edit in data["edits"][: _AT[-1]]]
    hashed = EditTexts.of(data["edits"][-1]["texts"]).sha256
    data["edits"].append(data["edits"][-1] | {"texts": None, "sha256": hashed})
    first, second, _ = (_cut_chain(chain) for chain in data["chains"])
    verdict = first["verdicts"][0]
    order = {"order": [2, 1, 3, 4], "solved": 3, "metrics": {"efficacy": 1.0, "retention": None}}
    released = copy.deepcopy(first)
    released |= {"method": "edited", "released": 0, "per_edit": []}
    released["checkpoints"] = released["checkpoints"][-1:]
    stopped = copy.deepcopy(second)
    stopped |= {"seed": 1, "verdicts": [], "per_edit": second["per_edit"][:3]}
    stopped["edits"][-1]["edit"] = _AT[-1]
    stopped["checkpoints"] = stopped["checkpoints"][:1]
    first["orders"] = [{**order, "deviation": 0.01}]
    compared = {"spec": _SPEC, "effect": 0.1, "gained": 1, "lost": 0, "tests": {"exact": 0.5}}
    return data | {
        "chains": [first, second, released],
        "comparisons": [verdict | compared],
        "releases": [_release(verdict)],
        "unfinished": [{"chain": stopped, "error": "NonFiniteError", "reason": "nan"}],
    }


def _cut_chain(chain: Any) -> Any:
    count = _AT[-1]
    chain |= {key: chain[key][:count] for key in ("edits", "before", "per_edit")}
    chain |= {"spec": _SPEC, "contexts": chain["contexts"][:2], "verdicts": chain["verdicts"][:2]}
    for cost in chain["per_edit"]:
        cost["anchors"] = cost["anchors"] and cost["anchors"][:3]
    chain["known"] = _cut_measurement(chain["known"], count)
    chain["abilities"] = _cut_abilities(chain["abilities"])
    chain["asked"] = {name: chain["asked"][name] for name in _ABILITIES}
    for at, point in zip(_AT, chain["checkpoints"], strict=True):
        metrics = {name: _cut_measurement(each, at) for name, each in point["metrics"].items()}
        abilities = _cut_abilities(point["abilities"])
        point |= {"at": at, "metrics": metrics, "abilities": abilities}
    number: dict[str, Any] = {
        "value": 3.5,
        "n": 0,
        "low": None,
        "high": None,
        "scores": [],
        "misses": [],
    }
    metrics |= {"mine": copy.deepcopy(metrics["efficacy"]), "number": number}
    return chain


def _cut_edit(edit: Any) -> Any:
    texts = edit["texts"]
    probes = {group: prompts[:1] for group, prompts in texts["probes"].items()}
    return edit | {"texts": texts | {"probes": probes}}


def _cut_measurement(measured: Any, count: int) -> Any:
    scores = measured["scores"][:count]
    there = [score for score in scores if score is not None]
    misses = [miss for miss in measured["misses"] if miss["edit"] < count and not miss["index"]][:2]
    value = sum(there) / len(there) if there else None
    return measured | {"scores": scores, "n": len(there), "value": value, "misses": misses}


def _cut_abilities(found: Any) -> Any:
    return {
        name: ability | {"scores": ability["scores"][:_ITEMS], "n": _ITEMS}
        for name, ability in found.items()
        if name in _ABILITIES
    }


def _release(verdict: Any) -> Any:
    difference = {
        "name": "a.weight",
        "kind": "changed",
        "file": "model.safetensors",
        "shape": [3, 4],
        "dtype": "F32",
        "entries": 12,
        "l1": 1.0,
        "frobenius": 1.0,
        "base_l1": 10.0,
        "base_frobenius": 5.0,
        "rank": 2,
        "sha256": "ab" * 32,
        "base_sha256": "cd" * 32,
    }
    changes = {
        "tensors": 3,
        "differences": [difference],
        "troubles": ["config.json: x"],
        "rank_limit": 64,
        "not_compared": ["x.bin"],
        "listed": True,
    }
    return {
        "spec": _SPEC,
        "base": "b",
        "edited": "e",
        "changes": changes,
        "manifest": True,
        "broken_promises": ["x"],
        "promised": {"base": "ab" * 32},
        "verdict": verdict,
    }


def _make(rng: random.Random) -> bytes:
    if rng.random() < 0.25:
        return changed_json(rng, small_record())
    return json.dumps(nudged(rng, small_record())).encode("utf-8", "surrogatepass")


@cache
def plain_record() -> Record:
    """Return the record that inputs are made of."""
    return from_json(json.dumps(small_record()))


@cache
def _spec(folder: Path) -> Spec:
    return replace(load_spec(folder / _SPEC), file=Path(_SPEC))


def prepare(folder: Path) -> None:
    """Write the spec that the record is of, and the record itself."""
    texts = [edit["texts"] for edit in small_record()["edits"] if edit["texts"]]
    edits = [
        {
            **{key: each[key] for key in ("subject", "target", "truth")},
            "paraphrases": [probe["prompt"] for probe in each["probes"]["generalization"]],
            "neighborhood": each["probes"]["locality"],
            "prompt": each["prompt"].replace(each["subject"], "{}", 1),
        }
        for each in texts
    ]
    spec = {
        "eac": 1,
        "name": "small",
        "methods": ["rome", "rome-eac"],
        "edits": edits,
        "sequence": {"checkpoints": list(_AT)},
        "checks": _CHECKS,
    }
    (folder / _SPEC).write_text(json.dumps(spec), "utf-8")
    (folder / "plain.json").write_text(json.dumps(small_record()), "utf-8")


def _judge(file: Path) -> None:
    """Judge a record by its spec, as ``--eac-from-results`` does, and print the tables."""
    record, spec = read_record(file), _spec(file.parent)
    stored, found = StoredRecord(file=file, record=record), {}
    for method in spec.methods:
        try:
            chain = found[method.name] = stored.chain(ChainKey(_SPEC, method.name, 0), spec, method)
        except EacError as error:
            str(error).encode()
            continue
        judge(chain, spec.checks, spec.stats)
        for name, _ in spec.checks.named():
            unrecorded(chain, spec, name)
    for each in spec.checks.compare:
        if each.subject in found and each.than in found:
            sides: list[list[Chain]] = [[found[each.subject]], [found[each.than]]]
            compare(comparison_id(each), each, *sides)
    for chain in record.chains:
        judge(chain, spec.checks, spec.stats)
    _writable([*summary_lines(record.chains), *causality_lines(record.chains)])
    _writable([summary(record.chains, [_OUTCOME], record.unfinished)])


def _report(file: Path) -> None:
    record = read_record(file)
    _writable([report_page(record, [_OUTCOME], command="pytest", version="1")])
    write_record(file, record)


def _compare(file: Path) -> None:
    """Compare the chains of a record, and the record with another one."""
    here, plain = (NamedRun(file="a", record=each) for each in (read_record(file), plain_record()))
    for runs in ([here], [plain, here], [here, plain]):
        try:
            found = compare_runs(runs)
        except EacError as error:
            str(error).encode()
            continue
        for show in (comparison_text, comparison_markdown, comparison_json):
            _writable([show(found)])


def _explain(file: Path) -> None:
    record, spec = read_record(file), _spec(file.parent)
    asked = [
        *(("rome-s0", name, "rome", 0) for name, _ in spec.checks.named()),
        *((COMPARE, comparison_id(each), None, None) for each in spec.checks.compare),
        *((EDITED, name, None, None) for name in ("changed", "efficacy")),
    ]
    for chain, check, method, seed in asked:
        one = NamedCheck(spec=spec, chain=chain, check=check, method=method, seed=seed)
        _writable(explanation(one, {"a": record}))


def _baseline(file: Path) -> None:
    """Hold a run against a record, a record against another one, and a run in a record's place."""
    record = read_record(file)
    for there, here in ((file, plain_record()), (file.with_name("plain.json"), record)):
        held = Baseline(there, _TOLERATED, update=False)
        for chain in here.chains:
            for metric in held.checked:
                try:
                    held.judge(chain, metric)
                except EacError as error:
                    str(error).encode()
        _writable([*held.lines(here), held.markdown(here)])
    updated = Baseline(file, _TOLERATED, update=True)
    _writable([*updated.lines(plain_record()), updated.store(plain_record(), complete=True)])
    read_record(file)


def _writable(texts: Iterable[str]) -> None:
    for text in texts:
        text.encode()


KINDS = tuple(
    Kind(name=name, file="results.json", make=_make, read=read, prepare=prepare)
    for name, read in (
        ("record", _judge),
        ("record-report", _report),
        ("record-compare", _compare),
        ("record-explain", _explain),
        ("record-baseline", _baseline),
    )
)

"""Chains written by hand: what was measured, without a model that measured it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from pytest_eac.records.run import (
    Ability,
    Chain,
    Checkpoint,
    Deviation,
    EditCost,
    EditRecord,
    EditTexts,
    Measurement,
    Miss,
    ModelRecord,
    Norms,
)

NOTHING = Measurement(value=None, n=0, low=None, high=None, scores=(None,), misses=())

MODEL = ModelRecord(
    id="package:tiny",
    revision=None,
    fingerprint="0123456789abcdef" * 4,
    architecture="gpt2",
    dtype="float32",
    device="cpu",
    attention="eager",
)

COST = EditCost(
    seconds=1.5,
    peak_bytes=None,
    steps=(20,),
    loss=0.04,
    reached=True,
    anchors=None,
    delta_norm=2.5,
    deviation=Norms(l1=1.0, l1_relative=0.1, frobenius=2.0, frobenius_relative=0.2),
    swallowed=0.0,
    score=1.0,
)


def share(value: float, n: int = 10, *misses: Miss) -> Measurement:
    return Measurement(
        value=value, n=n, low=value * 0.9, high=1.0, scores=(value,) * n, misses=misses
    )


def miss(edit: int, got: str = "Rome") -> Miss:
    return Miss(edit=edit, group="prompt", got=got, score=0.0)


def moved(relative: float, *matrices: str) -> Deviation:
    """A deviation whose four numbers differ, so that none can be taken for another."""
    norms = Norms(
        l1=1000 * relative,
        l1_relative=relative,
        frobenius=10 * relative,
        frobenius_relative=relative / 2,
    )
    return Deviation(**asdict(norms), by_parameter=dict.fromkeys(matrices, norms))


def writing(of: Chain, *matrices: str) -> Chain:
    """The same chain, whose changes lie in these matrices."""
    points = tuple(
        replace(point, deviation=moved(point.deviation.l1_relative, *matrices))
        for point in of.checkpoints
    )
    return replace(of, checkpoints=points)


def checkpoint(
    at: int, value: Measurement | None = None, relative: float = 0.1, **measured: Measurement
) -> Checkpoint:
    """Everything is ``value``, unless it is given by its name."""
    names = ("efficacy", "generalization", "locality", "retention")
    taken: dict[str, Any] = {name: value or share(0.5) for name in names} | measured
    return Checkpoint(at=at, deviation=moved(relative), metrics=taken)


def having(point: Checkpoint, metric: str, measured: Measurement) -> Checkpoint:
    """The same checkpoint with another measurement of ``metric``."""
    return replace(point, metrics={**point.metrics, metric: measured})


def edit(index: int) -> EditRecord:
    texts = EditTexts(
        subject=f"subject {index}",
        start=0,
        prompt=f"prompt {index}",
        target="Paris",
        truth="Rome",
        probes={},
    )
    return EditRecord(texts=texts, origin=f"facts.yaml:{10 + index}")


def rewritten(edit: EditRecord, **texts: Any) -> EditRecord:
    """The same edit with other texts."""
    return replace(edit, texts=replace(edit.texts, **texts))


ABILITY = Ability(
    value=0.55,
    low=0.46,
    high=0.63,
    base=0.75,
    kept=0.7333333,
    kept_low=0.62,
    kept_high=0.85,
    n=120,
    unparsable=0,
    chance=0.5,
    majority=0.25,
    signal=True,
    scores=(1.0, 0.0),
    about={},
    template="nli@1",
    data="built-in nli.jsonl",
    sha256="ab" * 32,
)


def able(at: int, **abilities: Ability) -> Checkpoint:
    """A checkpoint at which abilities were measured."""
    return replace(checkpoint(at), abilities=abilities)


def chain(*checkpoints: Checkpoint, method: str = "rome", seed: int = 0) -> Chain:
    count = checkpoints[-1].at
    return Chain(
        spec="specs/hand.eac.yaml",
        method=method,
        seed=seed,
        model=MODEL,
        scoring="accuracy",
        hyperparameters={"layers": [3]},
        contexts=("{}",),
        edits=tuple(edit(index) for index in range(count)),
        known=share(0.5),
        checkpoints=checkpoints,
        per_edit=tuple(replace(COST, seconds=1.0 + index) for index in range(count)),
        seconds=3.0,
    )


def of_its_edits(of: Chain) -> Chain:
    """The same chain with a score for each of its edits in every measurement, as a file must be."""
    points = []
    for point in of.checkpoints:
        found = point
        for name in ("efficacy", "generalization", "locality", "retention"):
            measured = point.metrics[name]
            found = having(found, name, share(measured.value or 0.0, point.at, *measured.misses))
        points.append(found)
    known = share(of.known.value or 0.0, len(of.edits))
    return replace(of, known=known, checkpoints=tuple(points))

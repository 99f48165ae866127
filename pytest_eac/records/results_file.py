"""The layout of a results file: what several chains have in common stands in it once.

Whoever changes it raises ``SCHEMA``: docs/decisions/0016-results-files.md says how.
"""

# The reference pages show annotations as they are written.
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pytest_eac.records.run import (
    Chain,
    ChainResults,
    Comparison,
    EditRecord,
    EditTexts,
    Excluded,
    Measurement,
    ModelRecord,
    Pooled,
    Record,
    Release,
    Unfinished,
    Verdict,
    converted,
    stand_in,
)
from pytest_eac.strict_json import Count

SCHEMA = 4
LAYOUT = "b4a594d78af6af95d467440261ae86286015e70d8fe142e69180dac94ea5c057"
"""SHA-256 of the layout: a test sees by it that the layout has changed."""

NOT_STORED = "text not stored"
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEdit:
    """An edit as the spec has it.

    Attributes:
        origin: the file and line that it was written in.
        space: whether a space was to be put before its answers: always, never or auto.
        texts: its texts; ``None`` in a file without texts.
        sha256: of the texts that are left out: as JSON, with the keys sorted and no white space.
    """

    origin: str
    space: str
    texts: EditTexts | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainEdit:
    """An edit of a chain.

    Attributes:
        edit: which of the file's edits, counted from 0.
        spaced: whether there is a space between the prompt and the target, as ``space`` has
            decided.
        superseded_by: the later edit of the chain that overwrites it, counted from 0.
        excluded: why it does not count in efficacy, retention and generalization: the unedited
            model already gives the target (``already held``), or the target is the truth and is
            scored against it (``target is truth``); ``None`` for an edit that counts.
    """

    edit: Count
    spaced: bool
    superseded_by: Count | None = None
    excluded: Excluded | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChain(ChainResults):
    """One method with one seed, from the unedited model to the last edit.

    Attributes:
        model: which of the file's models, counted from 0.
        edits: its edits, in their order.
        released: likewise a model that somebody else has edited: then nothing was edited here, and
            there is one checkpoint, after all edits.
    """

    model: Count
    edits: tuple[ChainEdit, ...]
    released: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUnfinished:
    """A chain that an error stopped: it is not judged, not compared, and no baseline.

    Attributes:
        chain: what was recorded up to there: ``edits`` are all that were asked for, ``per_edit``
            and ``checkpoints`` those that were made and measured.
        error: the kind of error, such as ``NonFiniteError``.
        reason: its text.
    """

    chain: StoredChain
    error: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsLayout:
    """A results file.

    Attributes:
        environment: versions, and settings of the process.
        models: the models of all chains.
        edits: the edits of all chains.
        chains: those that ran to their end.
        comparisons: what the checks between methods said.
        releases: released models held against their bases.
        unfinished: the chains that an error stopped.
        pooled: what checks said of a method over several sets of edits.
        schema: the number of this layout.
    """

    environment: dict[str, str]
    models: tuple[ModelRecord, ...]
    edits: tuple[StoredEdit, ...]
    chains: tuple[StoredChain, ...]
    comparisons: tuple[Comparison, ...] = ()
    releases: tuple[Release, ...] = ()
    unfinished: tuple[StoredUnfinished, ...] = ()
    pooled: tuple[Pooled, ...] = ()
    schema: int

    def record(self) -> Record:
        """Return what the file holds.

        Raises:
            ValueError: it refers to what is not there; names the place.
        """
        for problem in self._problems():
            raise ValueError(f"{problem}; run the spec again, or undo the change of the file")
        texts = [edit.texts or stand_in(edit.origin) for edit in self.edits]

        def edit_of(own: ChainEdit) -> EditRecord:
            stored = self.edits[own.edit]
            shared = {"origin": stored.origin, "space": stored.space, "absent": stored.sha256}
            return converted(EditRecord, own, texts=texts[own.edit], **shared)

        def chain_of(stored: StoredChain) -> Chain:
            return converted(
                Chain,
                stored,
                model=self.models[stored.model],
                edits=tuple(map(edit_of, stored.edits)),
                released=None if stored.released is None else self.models[stored.released],
            )

        return converted(
            Record,
            self,
            chains=tuple(map(chain_of, self.chains)),
            unfinished=tuple(
                converted(Unfinished, each, chain=chain_of(each.chain)) for each in self.unfinished
            ),
        )

    def _problems(self) -> Iterator[str]:
        """Yield what the parts of the file refer to that is not there, each with its place."""
        for index, edit in enumerate(self.edits):
            if (edit.texts is None) == (edit.sha256 is None):
                yield f"edits[{index}]: expected either texts or their sha256"
            elif edit.sha256 is not None and not _SHA256.fullmatch(edit.sha256):
                yield f"edits[{index}].sha256: expected 64 hexadecimal digits"
        placed = [(f"chains[{k}]", chain) for k, chain in enumerate(self.chains)]
        placed += [(f"unfinished[{k}].chain", each.chain) for k, each in enumerate(self.unfinished)]
        models, edits = len(self.models), len(self.edits)
        for place, chain in placed:
            named = [("model", chain.model, models), ("released", chain.released or 0, models)]
            named += [(f"edits[{k}].edit", own.edit, edits) for k, own in enumerate(chain.edits)]
            for name, number, count in named:
                if number >= count:
                    yield f"{place}.{name}: found {number}, expected less than {count}"


class _Hoisting:
    """Collects what chains have in common, each once, and refers to it by its place."""

    def __init__(self) -> None:
        self.models: list[ModelRecord] = []
        self.edits: list[StoredEdit] = []
        self._places: dict[tuple[str, str, str], int] = {}

    def chain(self, chain: Chain) -> StoredChain:
        return converted(
            StoredChain,
            chain,
            model=self._model(chain.model),
            edits=tuple(map(self._edit, chain.edits)),
            released=None if chain.released is None else self._model(chain.released),
        )

    def _model(self, model: ModelRecord) -> int:
        if model not in self.models:
            self.models.append(model)
        return self.models.index(model)

    def _edit(self, edit: EditRecord) -> ChainEdit:
        place = self._places.setdefault((edit.origin, edit.space, edit.sha256), len(self.edits))
        texts = None if edit.absent else edit.texts
        stored = converted(StoredEdit, edit, texts=texts, sha256=edit.absent)
        if place == len(self.edits):
            self.edits.append(stored)
        elif texts is not None:  # the same edit may be one without texts in an earlier chain
            self.edits[place] = stored
        return converted(ChainEdit, edit, edit=place)


def results_file(record: Record) -> ResultsLayout:
    """Return the file that holds a record."""
    hoisting = _Hoisting()
    chains = tuple(map(hoisting.chain, record.chains))
    unfinished = tuple(
        converted(StoredUnfinished, each, chain=hoisting.chain(each.chain))
        for each in record.unfinished
    )
    return converted(
        ResultsLayout,
        record,
        models=tuple(hoisting.models),
        edits=tuple(hoisting.edits),
        chains=chains,
        unfinished=unfinished,
        schema=SCHEMA,
    )


def without_texts(record: Record) -> Record:
    """Return a record without what quotes a spec's edits: their texts, and those of messages.

    What models write stays, since no report is worth much without it: a few tokens that do not name
    the prompt. Scored by ``success`` they write nothing, but prefer one of the spec's answers. Of a
    verdict's message the first line stays, which has the numbers.
    """

    def bare(chain: Chain) -> Chain:
        edits = [
            replace(each, texts=stand_in(each.origin), absent=each.sha256) for each in chain.edits
        ]
        found = replace(chain, edits=tuple(edits), verdicts=tuple(map(_first_line, chain.verdicts)))
        return _without_candidates(found) if chain.scoring == "success" else found

    stopped = tuple(replace(each, reason=NOT_STORED) for each in record.unfinished)
    releases = tuple(map(_without_promises, record.releases))
    return replace(record, unfinished=stopped, releases=releases).changed(bare)


def _first_line(verdict: Verdict) -> Verdict:
    return replace(verdict, message=verdict.message.partition("\n")[0])


def _without_promises(release: Release) -> Release:
    """Return a release without the lines that compare its manifest's edits with the spec's."""
    return replace(
        release,
        broken_promises=(NOT_STORED,) * len(release.broken_promises),
        verdict=release.verdict and _first_line(release.verdict),
    )


def _without_candidates(chain: Chain) -> Chain:
    """Return a chain without the spec's answers in place of what the model writes."""

    def bare(measured: Measurement) -> Measurement:
        misses = [
            replace(each, got=NOT_STORED, before=each.before and NOT_STORED)
            for each in measured.misses
        ]
        return replace(measured, misses=tuple(misses))

    points = [
        replace(point, metrics={name: bare(each) for name, each in point.metrics.items()})
        for point in chain.checkpoints
    ]
    return replace(chain, known=bare(chain.known), checkpoints=tuple(points))

"""Records as JSON: written, read back, and checked when they are read.

A record that has been read is consistent: what has one entry for each edit has as many as there are
edits, and what names an edit names one that is there. Nothing that judges or reports it needs to
check that again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pytest_eac.records.results_file import ResultsLayout, results_file
from pytest_eac.records.run import (
    Ability,
    Chain,
    ChainKey,
    Checkpoint,
    EditRecord,
    Measurement,
    Norms,
    Record,
)
from pytest_eac.records.tracing import Tracing
from pytest_eac.strict_json import read_numbered
from pytest_eac.untrusted_text import line

READERS: Mapping[int, type[ResultsLayout]] = dict.fromkeys((2, 3, 4), ResultsLayout)
"""What reads a results file of a schema, by its number.

One of schema 2 has no ``pooled``; up to schema 3, a verdict has no ``orders``, an edit no
``diagnostics`` and a chain no ``notes``.
"""

_GROUPS = ("value", "anchors", "update")
_NORMS = ("l1", "frobenius")
_SMALLEST, _LARGEST = 1e-50, 1e50


def to_json(record: Record | Tracing) -> str:
    """Serialise a record; refuses NaN and infinities (they are errors before they get here)."""
    written = results_file(record) if isinstance(record, Record) else record
    return json.dumps(asdict(written), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> Record:
    """Read a record back.

    Raises:
        ValueError: the text is not a record of a known schema, or its parts do not fit together;
            names the place, what was found and what was expected.
    """
    record = read_numbered(READERS, text, remedy="run the spec again").record()
    first: dict[ChainKey, int] = {}
    for index, chain in enumerate(record.chains):
        if first.setdefault(chain.key, index) != index:
            again = f"spec, method, seed, sample: found those of chains[{first[chain.key]}] again"
            raise ValueError(_placed(f"chains[{index}] ", chain, again))
        for problem in (*_of_chain(chain), *_unfinished(chain)):
            raise ValueError(_placed(f"chains[{index}] ", chain, problem))
    for index, each in enumerate(record.unfinished):
        for problem in _of_chain(each.chain):
            raise ValueError(_placed(f"unfinished[{index}].chain ", each.chain, problem))
    return record


def chain_problem(chain: Chain) -> str | None:
    """Return what does not fit together in a chain whose texts were filled in, if anything."""
    return next((_placed("", chain, problem) for problem in _of_chain(chain)), None)


def _placed(place: str, chain: Chain, problem: str) -> str:
    found = line(f"{place}({chain.name}).{problem}")
    return f"{found}; run the spec again, or undo the change of the file"


def _unfinished(chain: Chain) -> Iterator[str]:
    """Yield what a chain lacks that has come to its end."""
    count = len(chain.edits)
    made = 0 if chain.released else count
    if not chain.checkpoints or chain.checkpoints[-1].at != count:
        found = [point.at for point in chain.checkpoints]
        yield f"checkpoints: found those after {found}, expected one after all {count} edits"
    if len(chain.per_edit) != made:
        yield f"per_edit: found {len(chain.per_edit)}, expected {made}"


def _of_chain(chain: Chain) -> Iterator[str]:
    """Yield what does not fit together, each with its place in the chain."""
    count = len(chain.edits)
    yield from _of_edits(chain, count)
    yield from _of_hyperparameters(chain.hyperparameters)
    yield from _of_scores("known", chain.known, edits=chain.edits, scores=count)
    for name, ability in chain.abilities.items():
        yield from _of_ability(f"abilities.{name}", name, ability, ability)
    for index, cost in enumerate(chain.per_edit):
        yield from _of_norms(f"per_edit[{index}].deviation", cost.deviation)
    before = 0
    for index, point in enumerate(chain.checkpoints):
        place = f"checkpoints[{index}]"
        if not before < point.at <= count:
            yield f"{place}.at: found {point.at}, expected more than {before}, at most {count}"
            return
        before = point.at
        yield from _of_checkpoint(place, point, chain)


def _of_edits(chain: Chain, count: int) -> Iterator[str]:
    if not count:
        yield "edits: found none, expected at least one"
    if not chain.batch:
        yield "batch: found 0, expected at least 1"
    if len(chain.before) not in {0, count}:
        yield f"before: found {len(chain.before)} texts, expected {count}, one for each edit"
    if len(chain.per_edit) > count:
        yield f"per_edit: found {len(chain.per_edit)}, expected at most {count}"
    for index, edit in enumerate(chain.edits):
        by = edit.superseded_by
        if by is not None and not index < by < count:
            yield f"edits[{index}].superseded_by: found {by}, expected a later one of the edits"


def _of_checkpoint(place: str, point: Checkpoint, chain: Chain) -> Iterator[str]:
    for name, measured in point.metrics.items():
        scores = 0 if measured.is_number else point.at
        yield from _of_scores(f"{place}.metrics.{name}", measured, edits=chain.edits, scores=scores)
    for name, ability in point.abilities.items():
        if name not in chain.abilities:
            yield f"{place}.abilities.{name}: is not among the unedited model's abilities"
        else:
            yield from _of_ability(
                f"{place}.abilities.{name}", name, ability, chain.abilities[name]
            )
    yield from _of_norms(f"{place}.deviation", point.deviation)


def _of_scores(
    place: str, measured: Measurement, *, edits: Sequence[EditRecord], scores: int
) -> Iterator[str]:
    """Yield what is wrong with a metric that has ``scores`` scores, of the first edits."""
    there = sum(score is not None for score in measured.scores)
    if len(measured.scores) != scores:
        yield f"{place}.scores: found {len(measured.scores)}, expected {scores}, one for each edit"
    elif measured.n != there:
        yield f"{place}.n: found {measured.n}, expected {there}, the number of scores"
    elif scores and (measured.value is None) != (there == 0):
        yield f"{place}.value: found {measured.value}, with {there} scores"
    elif there and not 0 <= (measured.value or 0.0) <= 1:
        yield f"{place}.value: found {measured.value}, expected the mean of scores from 0 to 1"
    for miss in measured.misses:
        if miss.edit >= len(edits):
            yield f"{place}.misses: found one of edit {miss.edit}, of {len(edits)} edits"
            return
        edit, name = edits[miss.edit], f"{miss.group}[{miss.index}]"
        if not edit.absent and miss.index >= len(edit.texts.prompts(miss.group)):
            yield f"{place}.misses: found {name} of edit {miss.edit}, which has no such prompt"


def _of_ability(place: str, name: str, ability: Ability, base: Ability) -> Iterator[str]:
    """Yield what is wrong with an ability that was asked the same items as ``base``."""
    if len(ability.scores) != ability.n:
        yield f"{place}.scores: found {len(ability.scores)}, expected {ability.n}, as n says"
    elif ability.n != base.n:
        yield f"{place}.n: found {ability.n}, expected {base.n}, as for the unedited model"
    elif not ability.n:
        yield f"{place}.n: found 0 items, expected at least one"
    elif name == "perplexity" and min(ability.value, ability.base) <= 0:
        yield f"{place}.value: found a perplexity that is not above 0"


def _of_norms(place: str, norms: Norms) -> Iterator[str]:
    """Yield what is wrong with a deviation: its two forms give the norm of the original weights."""
    for name in _NORMS:
        total, share = getattr(norms, name), getattr(norms, f"{name}_relative")
        if share and not _SMALLEST <= total / share <= _LARGEST:
            yield (
                f"{place}.{name}: found {total:g}, which is {share:g} times the norm of the "
                f"original weights: expected that to lie between {_SMALLEST:g} and {_LARGEST:g}"
            )


def _of_hyperparameters(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what no method could have been given."""
    if not isinstance(found.get("base", ""), str):
        yield f"hyperparameters.base: found {found['base']!r:.60}, expected a method's name"
    for name in _GROUPS:
        if not isinstance(found.get(name) or {}, dict):
            yield f"hyperparameters.{name}: found {found[name]!r:.60}, expected an object"

"""The second moment of a layer's inputs, ``C = E[k k^T]``: what the keys of other texts look like.

It is measured on the unedited model over a corpus, in float64, in one pass for all layers asked
for. Only the sum is held: memory does not grow with the corpus. The cache keeps it under the
weights' fingerprint, the module, the corpus and its length; an interrupted run continues.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from pytest_eac.cache.entries import Cache, Entry
from pytest_eac.cache.kinds import COVARIANCE, PARTIAL
from pytest_eac.data.corpora import Corpus, open_corpus
from pytest_eac.editing.moment import Moment, is_few
from pytest_eac.errors import DataError, NonFiniteError
from pytest_eac.lm.forward.hooks import read_states
from pytest_eac.lm.layout import find_module, text_config
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.tokens import encode_part
from pytest_eac.spec.schema.settings import CovarianceSettings

_VERSION = 2
_WINDOW = 512
_BATCH_TOKENS = 2048
_SAVE_SECONDS = 60.0


def second_moments(
    loaded: LoadedModel,
    modules: Sequence[str],
    settings: CovarianceSettings,
    *,
    halves: bool = False,
    cache: Cache | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Moment]:
    """Measure, or read from the cache, the second moments of modules' inputs.

    Args:
        loaded: the unedited model.
        modules: paths of linear modules.
        settings: which text, how much of it, and the ridge.
        halves: where there are few tokens, measure also that of half of the text, for
            :func:`pytest_eac.editing.moment.held_out_energy`.
        cache: where they are kept; by default the user's cache folder.
        progress: called with (tokens read, tokens to read).

    Raises:
        DataError: the corpus cannot be read, or has too few tokens for the ridge.
        UnavailableError: a hub data set is not there.
    """
    cache = cache or Cache()
    corpus = open_corpus(settings.corpus, settings.column, offline=loaded.offline)
    keys = {path: _key(loaded, (path,), corpus, settings) for path in modules}
    found = _read(cache, keys, halves=halves)
    if len(found) < len(keys):
        with cache.working(COVARIANCE):  # another run may be measuring the same
            others = {path: key for path, key in keys.items() if path not in found}
            found |= _read(cache, others, halves=halves)
            missing = [path for path in keys if path not in found]
            if missing:
                unfinished = _key(loaded, missing, corpus, settings)
                reading = _Reading(loaded, corpus, settings.tokens, cache, unfinished)
                sums, tokens = reading.sums(missing, progress or (lambda *_: None))
                corpus.require_unchanged()
                data = {"tokens": tokens, "model": loaded.id, "corpus": corpus.name}
                parts: dict[str, Tensor] = {}
                half_tokens = 0
                if halves and any(is_few(tokens, len(each)) for each in sums.values()):
                    parts, half_tokens = reading.half(missing)
                for path in missing:
                    tensors = {"moment": sums[path] / tokens}
                    if path in parts:
                        tensors["half"] = parts[path] / half_tokens
                    about = {**data, "half_tokens": half_tokens} if halves else data
                    found[path] = Entry(data=about, tensors=tensors)
                    cache.write(COVARIANCE, keys[path], found[path])
                cache.remove(PARTIAL, unfinished)
    moments = {}
    for path in keys:
        moments[path] = Moment(
            matrix=found[path].tensors["moment"].to(loaded.device),
            tokens=found[path].data["tokens"],
            ridge=settings.ridge,
            corpus=corpus.name,
            corpus_sha256=corpus.digest,
            half=None
            if (half := found[path].tensors.get("half")) is None
            else half.to(loaded.device),
            half_tokens=found[path].data.get("half_tokens", 0),
        )
        _require_enough(moments[path], corpus.name)
    return moments


def _read(cache: Cache, keys: dict[str, dict[str, Any]], *, halves: bool) -> dict[str, Entry]:
    """Return the entries that are there, and have a half where one is asked for and of use."""
    found = {}
    for path, key in keys.items():
        entry = cache.read(COVARIANCE, key)
        if entry is not None and not (halves and _lacks_half(entry)):
            found[path] = entry
    return found


def _lacks_half(entry: Entry) -> bool:
    few = is_few(entry.data["tokens"], len(entry.tensors["moment"]))
    return few and "half_tokens" not in entry.data


def _require_enough(moment: Moment, corpus: str) -> None:
    """Refuse a moment that its ridge cannot make up for."""
    width = len(moment.matrix)
    if moment.tokens < width and moment.ridge < 1:
        raise DataError(
            f"covariance: {corpus} gave {moment.tokens} tokens, but the layer's input has {width} "
            f"dimensions: {width - moment.tokens} tokens are missing; give a larger corpus "
            "(covariance: {corpus: FILE}), more tokens, or a ridge of 1 or more"
        )


def _key(
    loaded: LoadedModel, paths: Sequence[str], corpus: Corpus, settings: CovarianceSettings
) -> dict[str, Any]:
    """Return all that the second moments of these modules depend on."""
    tokenizer = loaded.tokenizer.backend_tokenizer.to_str()
    return {
        "version": _VERSION,
        "weights": loaded.fingerprint,
        "modules": list(paths),
        "corpus": corpus.digest,
        "tokens": settings.tokens,
        "dtype": str(loaded.dtype),
        "tokenizer": hashlib.sha256(tokenizer.encode()).hexdigest(),
        "window": _WINDOW,
        "batch": _BATCH_TOKENS,
    }


@dataclass(frozen=True, slots=True)
class _Reading:
    """A model's reading of a corpus up to ``limit`` tokens; ``cache`` keeps the sums under ``key``.

    Those of an interrupted reading are taken up again.
    """

    loaded: LoadedModel
    corpus: Corpus
    limit: int
    cache: Cache
    key: dict[str, Any]

    def batches(self) -> Iterator[list[tuple[int, ...]]]:
        """Yield rows of ids: each text alone, no special tokens, cut into windows."""
        rows: list[tuple[int, ...]] = []
        read = 0
        config = text_config(self.loaded.model.config)
        width = min(_WINDOW, getattr(config, "max_position_embeddings", None) or _WINDOW)
        for text in self.corpus.texts():
            ids = encode_part(self.loaded.tokenizer, text)[: self.limit - read]
            read += len(ids)
            for start in range(0, len(ids), width):
                row = tuple(ids[start : start + width])
                if rows and (len(rows) + 1) * max(len(row), *map(len, rows)) > _BATCH_TOKENS:
                    yield rows
                    rows = []
                rows.append(row)
            if read >= self.limit:
                break
        if rows:
            yield rows

    def sums(
        self, paths: Sequence[str], progress: Callable[[int, int], None]
    ) -> tuple[dict[str, Tensor], int]:
        """Return ``sum k k^T`` by module, and the number of tokens read."""
        loaded = self.loaded
        modules = {path: find_module(loaded.model, path) for path in paths}
        sums: dict[str, Tensor] = {}
        tokens = done = 0
        if kept := self.cache.read(PARTIAL, self.key):
            sums = {path: each.to(loaded.device) for path, each in kept.tensors.items()}
            tokens, done = kept.data["tokens"], kept.data["batches"]
        saved = monotonic()
        for number, rows in enumerate(islice(self.batches(), done, None), start=done + 1):
            self._add(rows, modules, sums)
            tokens += sum(len(row) for row in rows)
            progress(tokens, self.limit)
            if monotonic() - saved > _SAVE_SECONDS:
                self._require_finite(sums)
                data = {"tokens": tokens, "batches": number}
                self.cache.write(PARTIAL, self.key, Entry(data=data, tensors=sums))
                saved = monotonic()
        if not tokens:
            raise DataError(f"covariance: {self.corpus.name} holds no text")
        self._require_finite(sums)
        return {path: each.cpu() for path, each in sums.items()}, tokens

    def half(self, paths: Sequence[str]) -> tuple[dict[str, Tensor], int]:
        """Return ``sum k k^T`` of every other row, by module, and the number of their tokens.

        Nothing if there is but one row.
        """
        modules = {path: find_module(self.loaded.model, path) for path in paths}
        sums: dict[str, Tensor] = {}
        tokens = seen = 0
        for rows in self.batches():
            if chosen := rows[seen % 2 :: 2]:
                self._add(chosen, modules, sums)
            tokens += sum(len(row) for row in chosen)
            seen += len(rows)
        return ({path: each.cpu() for path, each in sums.items()}, tokens) if seen > 1 else ({}, 0)

    def _add(
        self,
        rows: Sequence[tuple[int, ...]],
        modules: Mapping[str, nn.Module],
        sums: dict[str, Tensor],
    ) -> None:
        """Add ``k k^T`` of some rows' inputs to the modules' sums."""
        batch = self.loaded.pad(rows, side="right")
        seen = read_states(self.loaded.model, batch.as_inputs(), modules)
        mask = batch.attention_mask.bool()
        for path in modules:
            keys = seen[path].input[mask].double()
            if path not in sums:
                sums[path] = keys.new_zeros((keys.shape[1], keys.shape[1]))
            sums[path].addmm_(keys.T, keys)

    def _require_finite(self, sums: dict[str, Tensor]) -> None:
        for path, total in sums.items():
            if not bool(torch.isfinite(total).all()):
                raise NonFiniteError(
                    f"covariance: the inputs of {path} are not finite in {self.loaded.dtype}; try "
                    "--eac-dtype=bfloat16 or float32"
                )

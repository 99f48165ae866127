"""The second moment of a layer's inputs, ``C = E[k k^T]``: what the keys of other texts look like.

Measured on the unedited model over a corpus, in float64, in one pass for all layers asked for. The
sum is all that is held: memory does not grow with the corpus. Kept in the cache under the weights'
fingerprint, the module, the corpus and its length; an interrupted run goes on where it was.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

import torch

from pytest_eac.cache.entries import Cache, Entry
from pytest_eac.cache.kinds import COVARIANCE, PARTIAL
from pytest_eac.data.corpora import Corpus, open_corpus
from pytest_eac.errors import DataError, EditError, NonFiniteError
from pytest_eac.lm.forward.hooks import read_states
from pytest_eac.lm.layout import find_module, text_config
from pytest_eac.lm.tokens import encode_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.schema.settings import CovarianceSettings

_VERSION = 2
_WINDOW = 512
_BATCH_TOKENS = 2048
_SAVE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moment:
    """The second moment of one module's inputs.

    Attributes:
        matrix: ``C``, uncentred, without its ridge; (d_in, d_in), float64.
        tokens: how many inputs it is the mean of.
        ridge: what is added to its diagonal before it is solved with, as a multiple of the
            diagonal's mean.
        corpus: the name of the texts.
        corpus_sha256: what tells them from others.
    """

    matrix: Tensor
    tokens: int
    ridge: float
    corpus: str = ""
    corpus_sha256: str = ""
    _kept: dict[object, Tensor] = field(default_factory=dict)

    def regularised(self) -> Tensor:
        """``C + ridge * mean(diag C) * I``; (d_in, d_in)."""
        diagonal = self.matrix.diagonal()
        return self.matrix + torch.diag((self.ridge * diagonal.mean()).expand_as(diagonal))

    def solve(self, right: Tensor, *, weight: float = 1.0, identity: float = 0.0) -> Tensor:
        """Return ``(weight * C + identity * I)^-1 right`` with the regularised ``C``; float64.

        The factorisation is made once for a weight.

        Raises:
            EditError: the matrix is singular: too few tokens for too small a ridge.
        """
        key = (weight, identity)
        if key not in self._kept:
            matrix = weight * self.regularised()
            matrix.diagonal().add_(identity)
            factor, failed = torch.linalg.cholesky_ex(matrix)
            if bool(failed):
                raise EditError(
                    f"the covariance of {self.tokens} tokens is singular ({len(matrix)} "
                    f"dimensions, ridge {self.ridge:g}); give more text or a larger ridge"
                )
            self._kept[key] = factor
        return torch.cholesky_solve(right.double(), self._kept[key])

    def describe(self) -> str:
        """Say what it was measured on, and how its eigenvalues lie."""
        values = torch.linalg.eigvalsh(self.matrix)
        return (
            f"{len(self.matrix)} dimensions, {self.tokens} tokens, eigenvalues at "
            f"{_quantiles(values)} (ridge: {self.ridge * float(self.matrix.diagonal().mean()):.2g})"
        )

    def project(self, keys: Tensor, threshold: float) -> Tensor:
        """Project on the eigenvectors of ``C`` (no ridge) with an eigenvalue below ``threshold``.

        Raises:
            EditError: none, or all, of the eigenvalues are below it.
        """
        key = ("eigenvectors", threshold)
        if key not in self._kept:
            values, vectors = torch.linalg.eigh(self.matrix)
            below = values < threshold
            if not bool(below.any()) or bool(below.all()):
                raise EditError(
                    f"threshold {threshold:g}: {int(below.sum())} of {len(values)} directions are "
                    f"below it, so nothing would be projected; eigenvalues at {_quantiles(values)}"
                )
            self._kept[key] = vectors[:, below]
        basis = self._kept[key]
        return basis @ (basis.T @ keys.double())


_SHARES = (0.1, 0.5, 0.9, 1.0)


def _quantiles(values: Tensor) -> str:
    return ", ".join(f"{100 * share:g} %: {float(values.quantile(share)):.2g}" for share in _SHARES)


def second_moments(
    loaded: LoadedModel,
    modules: Sequence[str],
    settings: CovarianceSettings,
    *,
    cache: Cache | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Moment]:
    """Measure, or read from the cache, the second moments of modules' inputs.

    Args:
        loaded: the unedited model.
        modules: paths of linear modules.
        settings: which text, how much of it, and the ridge.
        cache: where they are kept; by default the user's cache folder.
        progress: called with (tokens read, tokens to read).

    Raises:
        DataError: the corpus cannot be read, or has too few tokens for the ridge.
        UnavailableError: a hub data set is not there.
    """
    cache = cache or Cache()
    corpus = open_corpus(settings.corpus, settings.column, offline=loaded.offline)
    keys = {path: _key(loaded, (path,), corpus, settings) for path in modules}
    found = _read(cache, keys)
    if len(found) < len(keys):
        with cache.working(COVARIANCE):  # another run may be measuring the same
            found |= _read(cache, {path: key for path, key in keys.items() if path not in found})
            missing = [path for path in keys if path not in found]
            if missing:
                texts = _CorpusTexts(loaded, corpus, settings.tokens)
                partial = _Partial(cache, _key(loaded, missing, corpus, settings))
                for path, entry in _measure(texts, missing, partial, progress).items():
                    cache.write(COVARIANCE, keys[path], entry)
                    found[path] = entry
                partial.remove()
    moments = {}
    for path in keys:
        moments[path] = Moment(
            matrix=found[path].tensors["moment"].to(loaded.device),
            tokens=found[path].data["tokens"],
            ridge=settings.ridge,
            corpus=corpus.name,
            corpus_sha256=corpus.digest,
        )
        _require_enough(moments[path], corpus.name)
    return moments


def _read(cache: Cache, keys: dict[str, dict[str, Any]]) -> dict[str, Entry]:
    entries = {path: cache.read(COVARIANCE, key) for path, key in keys.items()}
    return {path: entry for path, entry in entries.items() if entry is not None}


def _measure(
    texts: _CorpusTexts,
    paths: Sequence[str],
    partial: _Partial,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Entry]:
    """Measure moments and return them as entries."""
    sums, tokens = _accumulate(texts, paths, partial, progress)
    texts.corpus.require_unchanged()
    data = {"tokens": tokens, "model": texts.loaded.id, "corpus": texts.corpus.name}
    return {path: Entry(data=data, tensors={"moment": sums[path] / tokens}) for path in paths}


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
    loaded: LoadedModel,
    paths: Sequence[str],
    corpus: Corpus,
    settings: CovarianceSettings,
) -> dict[str, Any]:
    """Return all that the second moments of these modules depend on."""
    return {
        "version": _VERSION,
        "weights": loaded.fingerprint,
        "modules": list(paths),
        "corpus": corpus.digest,
        "tokens": settings.tokens,
        "dtype": str(loaded.dtype),
        "tokenizer": hashlib.sha256(
            loaded.tokenizer.backend_tokenizer.to_str().encode()
        ).hexdigest(),
        "window": _WINDOW,
        "batch": _BATCH_TOKENS,
    }


@dataclass(frozen=True, slots=True)
class _Partial:
    """The sums so far of a measurement that is going on, kept in the cache."""

    cache: Cache
    key: dict[str, Any]

    def read(self) -> Entry | None:
        return self.cache.read(PARTIAL, self.key)

    def write(self, sums: dict[str, Tensor], tokens: int, batches: int) -> None:
        data = {"tokens": tokens, "batches": batches}
        self.cache.write(PARTIAL, self.key, Entry(data=data, tensors=sums))

    def remove(self) -> None:
        self.cache.remove(PARTIAL, self.key)


@dataclass(frozen=True, slots=True)
class _CorpusTexts:
    """What a model is to read: a corpus, up to ``limit`` tokens."""

    loaded: LoadedModel
    corpus: Corpus
    limit: int

    def batches(self) -> Iterator[list[tuple[int, ...]]]:
        """Yield rows of ids: each text alone, no special tokens, cut into windows."""
        rows: list[tuple[int, ...]] = []
        read = 0
        config = text_config(self.loaded.model.config)
        positions = getattr(config, "max_position_embeddings", None) or _WINDOW
        width = min(_WINDOW, positions)
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


def _require_finite(sums: dict[str, Tensor], dtype: torch.dtype) -> None:
    for path, total in sums.items():
        if not bool(torch.isfinite(total).all()):
            raise NonFiniteError(
                f"covariance: the inputs of {path} are not finite in {dtype}; try --eac-dtype="
                "bfloat16 or float32"
            )


def _accumulate(
    texts: _CorpusTexts,
    paths: Sequence[str],
    partial: _Partial,
    progress: Callable[[int, int], None] | None,
) -> tuple[dict[str, Tensor], int]:
    """Sum ``k k^T``; returns the sums by module and the number of tokens.

    The sums so far are kept in ``partial`` from time to time, and taken up from there.
    """
    loaded = texts.loaded
    modules = {path: find_module(loaded.model, path) for path in paths}
    sums: dict[str, Tensor] = {}
    tokens = done = 0
    if kept := partial.read():
        sums = {path: each.to(loaded.device) for path, each in kept.tensors.items()}
        tokens, done = kept.data["tokens"], kept.data["batches"]
    saved = monotonic()
    for number, rows in enumerate(texts.batches()):
        if number < done:
            continue
        batch = loaded.pad(rows, side="right")
        seen = read_states(loaded.model, batch.as_inputs(), modules)
        mask = batch.attention_mask.bool()
        for path in paths:
            keys = seen[path].input[mask].double()
            if path not in sums:
                sums[path] = keys.new_zeros((keys.shape[1], keys.shape[1]))
            sums[path].addmm_(keys.T, keys)
        tokens += sum(len(row) for row in rows)
        if progress is not None:
            progress(tokens, texts.limit)
        if monotonic() - saved > _SAVE_SECONDS:
            _require_finite(sums, loaded.dtype)
            partial.write(sums, tokens, number + 1)
            saved = monotonic()
    if not tokens:
        raise DataError(f"covariance: {texts.corpus.name} holds no text")
    _require_finite(sums, loaded.dtype)
    return {path: each.cpu() for path, each in sums.items()}, tokens

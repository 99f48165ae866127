"""The second moment of a layer's inputs, ``C = E[k k^T]``: what the keys of other texts look like.

Measured on the unedited model over a corpus, in float64, in one pass for all layers asked for. The
sum is all that is kept: memory does not grow with the corpus. Kept in the cache under the weights'
fingerprint, the module, the corpus and its length; an interrupted run goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import torch

from pytest_eac.errors import DataError, EditError, UnavailableError
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.trace import read_states
from pytest_eac.store import default_cache_dir, read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.spec.settings import CovarianceSettings

_VERSION = 1
_WINDOW = 512
_BATCH_TOKENS = 2048
_SAVE_SECONDS = 60.0

Progress = "Callable[[int, int], None]"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moment:
    """The second moment of one module's inputs.

    Attributes:
        matrix: ``C``, uncentred, without its ridge; (d_in, d_in), float64.
        tokens: how many inputs it is the mean of.
        ridge: what is added to its diagonal before it is solved with, as a multiple of the
            diagonal's mean.
    """

    matrix: Tensor
    tokens: int
    ridge: float
    _kept: dict[object, Tensor] = field(default_factory=dict)

    def regularised(self) -> Tensor:
        """``C + ridge * mean(diag C) * I``; (d_in, d_in)."""
        diagonal = self.matrix.diagonal()
        return self.matrix + torch.diag(torch.full_like(diagonal, self.ridge * diagonal.mean()))

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
                at = ", ".join(f"{100 * q:g} %: {float(values.quantile(q)):.2g}" for q in _SHARES)
                raise EditError(
                    f"threshold {threshold:g}: {int(below.sum())} of {len(values)} directions are "
                    f"below it, so nothing would be projected; eigenvalues at {at}"
                )
            self._kept[key] = vectors[:, below]
        basis = self._kept[key]
        return basis @ (basis.T @ keys)


_SHARES = (0.1, 0.5, 0.9, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Texts, and what tells them from other texts."""

    name: str
    digest: str
    texts: Callable[[], Iterator[str]]


def open_corpus(settings: CovarianceSettings) -> Corpus:
    """Find the corpus that the settings name.

    Raises:
        UnavailableError: a hub data set is not on this machine and cannot be fetched.
        DataError: a file is missing, or is none of .txt, .jsonl, .json and .parquet.
    """
    if settings.corpus == "built-in":
        text = (resources.files("pytest_eac.editing") / "corpus.txt").read_text(encoding="utf-8")
        paragraphs = text.split("\n\n")
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Corpus(name="built-in", digest=digest, texts=lambda: iter(paragraphs))
    if settings.corpus.startswith("hub:"):
        return _open_hub(settings.corpus.removeprefix("hub:"), settings.column)
    return _open_file(Path(settings.corpus), settings.column)


_BUILDERS = {".txt": "text", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}


def _open_file(path: Path, column: str) -> Corpus:
    builder = _BUILDERS.get(path.suffix)
    if builder is None:
        raise DataError(
            f"{path}: found a {path.suffix or 'nameless'} file, expected one of "
            f"{', '.join(_BUILDERS)}"
        )
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    more = {"sample_by": "paragraph"} if builder == "text" else {}
    if builder == "text":
        column = "text"

    def texts() -> Iterator[str]:
        import datasets

        table = datasets.load_dataset(
            builder, data_files=str(path), split="train", streaming=True, **more
        )
        yield from _column(table, column, str(path))

    return Corpus(name=str(path), digest=f"{digest}:{column}", texts=texts)


def _open_hub(name: str, column: str) -> Corpus:
    import datasets

    try:
        table = datasets.load_dataset(name, split="train")
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise UnavailableError(
            f"data set {name!r} is not on this machine and could not be fetched ({first})",
            remedy=f"run: hf download --repo-type dataset {name}",
        ) from error
    return Corpus(
        name=f"hub:{name}",
        digest=f"{table._fingerprint}:{column}",  # noqa: SLF001 (the library's own content hash)
        texts=lambda: _column(table, column, name),
    )


def _column(table: Iterator[dict[str, object]], column: str, name: str) -> Iterator[str]:
    for row in table:
        if column not in row:
            raise DataError(f"{name}: found the columns {', '.join(row)}, expected {column!r}")
        yield str(row[column])


def second_moments(
    loaded: LoadedModel,
    modules: Sequence[str],
    settings: CovarianceSettings,
    *,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Moment]:
    """Measure, or read from the cache, the second moments of modules' inputs.

    Args:
        loaded: the unedited model.
        modules: paths of linear modules.
        settings: which text, how much of it, and the ridge.
        cache_dir: where they are kept; by default the user's cache folder.
        progress: called with (tokens read, tokens to read).

    Raises:
        DataError: the corpus cannot be read, or has too few tokens for the ridge.
        UnavailableError: a hub data set is not there.
    """
    corpus = open_corpus(settings)
    folder = (cache_dir or default_cache_dir()) / "covariance"
    found = {
        path: read_tensors(folder / _name(loaded, (path,), corpus, settings)) for path in modules
    }
    missing = [path for path, kept in found.items() if kept is None]
    if missing:
        sums, tokens = _accumulate(loaded, missing, corpus, settings, folder, progress)
        for path in missing:
            about = {
                "tokens": str(tokens),
                "module": path,
                "model": loaded.id,
                "fingerprint": loaded.fingerprint,
                "corpus": corpus.name,
                "corpus_sha256": corpus.digest,
            }
            tensors = {"moment": sums[path] / tokens}
            write_tensors(folder / _name(loaded, (path,), corpus, settings), tensors, about)
            found[path] = tensors, about
    moments = {}
    for path, kept in found.items():
        if kept is None:
            continue
        tensors, about = kept
        matrix = tensors["moment"].to(loaded.device)
        moments[path] = Moment(matrix=matrix, tokens=int(about["tokens"]), ridge=settings.ridge)
        _require_enough(moments[path], corpus.name)
    return moments


def _require_enough(moment: Moment, corpus: str) -> None:
    """Refuse a moment that its ridge cannot make up for."""
    width = len(moment.matrix)
    if moment.tokens < width and moment.ridge < 1:
        raise DataError(
            f"covariance: {corpus} gave {moment.tokens} tokens, but the layer's input has {width} "
            f"dimensions: {width - moment.tokens} tokens are missing; give a larger corpus "
            "(covariance: {corpus: FILE}), more tokens, or a ridge of 1 or more"
        )


def _name(
    loaded: LoadedModel, paths: Sequence[str], corpus: Corpus, settings: CovarianceSettings
) -> str:
    parts = [
        _VERSION,
        loaded.fingerprint,
        list(paths),
        corpus.digest,
        settings.tokens,
        str(loaded.dtype),
        _WINDOW,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32] + ".safetensors"


def _accumulate(
    loaded: LoadedModel,
    paths: Sequence[str],
    corpus: Corpus,
    settings: CovarianceSettings,
    folder: Path,
    progress: Callable[[int, int], None] | None,
) -> tuple[dict[str, Tensor], int]:
    """Sum ``k k^T`` over the corpus; returns the sums by module, and the number of tokens."""
    modules = {path: find_module(loaded.model, path) for path in paths}
    partial = folder / f"part-{_name(loaded, paths, corpus, settings)}"
    sums: dict[str, Tensor] = {}
    tokens = done = 0
    if kept := read_tensors(partial):
        sums = {path: each.to(loaded.device) for path, each in kept[0].items()}
        tokens, done = int(kept[1]["tokens"]), int(kept[1]["batches"])
    saved = monotonic()
    for number, rows in enumerate(_batches(loaded, corpus, settings.tokens)):
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
            progress(tokens, settings.tokens)
        if monotonic() - saved > _SAVE_SECONDS:
            about = {"tokens": str(tokens), "batches": str(number + 1)}
            write_tensors(partial, {path: each.cpu() for path, each in sums.items()}, about)
            saved = monotonic()
    if not tokens:
        raise DataError(f"covariance: {corpus.name} holds no text")
    partial.unlink(missing_ok=True)
    return {path: each.cpu() for path, each in sums.items()}, tokens


def _batches(loaded: LoadedModel, corpus: Corpus, limit: int) -> Iterator[list[tuple[int, ...]]]:
    """Yield rows of ids: each text alone, no special tokens, in windows, up to ``limit`` tokens."""
    rows: list[tuple[int, ...]] = []
    read = 0
    positions = getattr(loaded.model.config, "max_position_embeddings", None) or _WINDOW
    width = min(_WINDOW, positions)
    for text in corpus.texts():
        ids = loaded.tokenizer(text, add_special_tokens=False)["input_ids"][: limit - read]
        read += len(ids)
        for start in range(0, len(ids), width):
            row = tuple(ids[start : start + width])
            if rows and (len(rows) + 1) * max(len(row), *map(len, rows)) > _BATCH_TOKENS:
                yield rows
                rows = []
            rows.append(row)
        if read >= limit:
            break
    if rows:
        yield rows

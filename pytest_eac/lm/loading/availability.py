"""Is a model on this machine? Asked without loading, converting or fetching it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from pytest_eac.errors import UnavailableError
from pytest_eac.lm.loading.find import find_path
from pytest_eac.lm.loading.hub_models import find_snapshot
from pytest_eac.lm.loading.model_folder import require_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GGUF = ("gguf", "accelerate")


def find_on_disk(model_id: str, *, revision: str | None, cache_dir: Path) -> Path:
    """Return where a model lies: its folder or its ``.gguf`` file.

    Raises:
        UnavailableError: it is not there, or not what is needed to read it; has the remedy.
        ModelError: it is there, but cannot be used.
    """
    path = find_path(model_id, revision) or find_snapshot(model_id, revision, cache_dir)
    if path.is_file():
        _require(path, GGUF)
    else:
        require_model(path)
    return path


def _require(path: Path, packages: Sequence[str]) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UnavailableError(
            f"reading {path.name} needs {' and '.join(missing)}",
            remedy="pip install 'pytest-eac[gguf]'",
        )

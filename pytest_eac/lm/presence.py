"""Is a model on this machine? Asked without loading, converting or fetching it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_eac.errors import UnavailableError
from pytest_eac.lm.find import find_files, find_in_package
from pytest_eac.spec.files import expanded

if TYPE_CHECKING:
    from collections.abc import Sequence

GGUF = ("gguf", "accelerate")


def find_on_disk(model_id: str, *, revision: str | None, cache_dir: Path) -> Path:
    """Return where a model lies: its folder or its ``.gguf`` file.

    Raises:
        UnavailableError: it is not there, or not what is needed to read it; has the remedy.
        ModelError: it is there, but cannot be used.
    """
    if model_id.startswith("package:"):
        model_id = str(find_in_package(model_id.removeprefix("package:")))
    path = expanded(model_id)
    if path.suffix == ".gguf" and path.is_file():
        _require(path, GGUF)
        return path
    found, _, is_hub_id = find_files(model_id, revision, cache_dir)
    if not is_hub_id:
        return Path(found)
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(model_id, "config.json", revision=revision)
    if not isinstance(config, str):
        wanted = f" --revision {revision}" if revision else ""
        raise UnavailableError(
            f"model {model_id!r} is not on this machine", remedy=f"hf download {model_id}{wanted}"
        )
    return Path(config).parent


def _require(path: Path, packages: Sequence[str]) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UnavailableError(
            f"reading {path.name} needs {' and '.join(missing)}",
            remedy="pip install 'pytest-eac[gguf]'",
        )

"""Loads the ``conftest.py`` files beside a spec as pytest does, for what they register."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from pytest_eac.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_eac.spec.spec import Spec


class ReadSpec(Protocol):
    """Reads a spec."""

    def __call__(self, path: Path, *, under: Path | None = None) -> Spec:
        """Read the spec at ``path`` as in a pytest run of ``under``, by default of its folder."""


@contextmanager
def spec_reader() -> Iterator[ReadSpec]:
    """Yield a function that reads a spec, and registers the methods, metrics, ... of its project.

    They stay registered until a spec of another folder is read, or the block ends. pytest is
    imported only if there is a ``conftest.py``.
    """
    from pytest_eac.spec import registry
    from pytest_eac.spec.load import load_spec

    last: Path | None = None
    with ExitStack() as loaded:

        def read(path: Path, *, under: Path | None = None) -> Spec:
            nonlocal last
            folder = path.absolute().parent
            if folder != last:
                loaded.close()
                loaded.callback(registry.forget)
                if any((each / "conftest.py").is_file() for each in (folder, *folder.parents)):
                    _load(loaded, [str(under or path), str(path)])
                last = folder
            return load_spec(path)

        yield read


def _load(loaded: ExitStack, paths: list[str]) -> None:
    """Have pytest load what it would load to run these paths.

    Raises:
        SettingsError: a ``conftest.py`` or pytest's settings cannot be used.
    """
    import pytest

    from pytest_eac.pytest_private import ending
    from pytest_eac.spec.methods import register_from

    try:
        # Nothing is asserted here; and pytest would warn of this package, which is loaded already.
        config: Any = pytest.Config.fromdictargs({"capture": "no"}, ["--assert=plain", *paths])
        loaded.callback(ending(config))
    except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:
        raise SettingsError(
            f"{paths[-1]}: pytest cannot load the conftest.py files and settings of this spec: "
            f"{error}"
        ) from error
    register_from(config.hook)

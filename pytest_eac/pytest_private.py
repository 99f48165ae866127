"""The private names of pytest that this package uses; there is no public way to any of them.

A test holds that they are there, with the newest pytest and the oldest one that is supported.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest


def settings_for(config: pytest.Config, paths: Sequence[str]) -> tuple[Path | None, object]:
    """Return which settings file pytest reads for these paths, and what is in it.

    pytest itself says only which file it has read, not which it would read for other paths.
    """
    from _pytest.config.findpaths import determine_setup

    _, file, settings, _ = determine_setup(
        inifile=config.getoption("inifilename", None),
        override_ini=None,
        args=paths,
        rootdir_cmd_arg=config.getoption("rootdir", None),
        invocation_dir=config.invocation_params.dir,
    )
    return file, settings


def ending(config: Any) -> Callable[[], None]:
    """Return what ends a configuration that no run has used, and removes its import hooks.

    pytest ends a configuration at the end of a run, and offers nothing where there is none.
    """
    end: Callable[[], None] = config._ensure_unconfigure
    return end

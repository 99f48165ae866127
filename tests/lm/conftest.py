from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hub_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.hub_server import Hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on this machine."""
    with serving(tmp_path, monkeypatch) as found:
        yield found

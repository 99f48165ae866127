"""What the tests need on the machine: where it is missing they skip, but not in CI.

The reason of a skip says how to install what is missing. With ``CI=true``, as CI systems set it, a
skipped test is a failure: everything must be installed there, and a test that never ran would
otherwise look like one that passed.

Published data sets are the exception: they can be neither included nor installed. A machine that
cannot have them says so, by ``PYTEST_EAC_REAL_DATA=none``, and their tests are deselected.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

TESTS = Path(__file__).parent
IN_CI = os.environ.get("CI") == "true"  # as it is outside of any test


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip of one of our tests into a failure where ``CI`` is ``true``.

    An expected failure stays one. The suite that methods are held to skips what does not apply.
    """
    report = yield
    ours = item.path.is_relative_to(TESTS) and not hasattr(report, "wasxfail")
    if report.skipped and ours and IN_CI:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI=true does not allow: {reason}"
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that use ``real_data`` where the environment rules it out."""
    if os.environ.get("PYTEST_EAC_REAL_DATA") != "none":
        return
    needing = [item for item in items if "real_data" in getattr(item, "fixturenames", ())]
    if needing:
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in needing]

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pytest_eac.cache.kinds import EDITS, MEASUREMENTS, kept
from pytest_eac.store import read_record

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Specs

METHODS = "[m: {base: ft, layers: [1], update: {steps: 3}}]"
FROM_CACHE = r"\d+ of 2 edits and \d+ measurements came from the cache"


@pytest.fixture
def root(specs: Specs) -> Path:
    """A cache folder of the test's own, and a spec of two edits."""
    specs.write(methods=METHODS)
    return specs.pytester.path / "kept"


def entries(root: Path) -> int:
    return len(kept(root, EDITS)) + len(kept(root, MEASUREMENTS))


def test_a_second_run_takes_its_edits_from_the_cache_and_says_so(specs: Specs, root: Path) -> None:
    first = specs.run("--eac-cache-dir=kept", "--eac-results=1.json")
    second = specs.run("--eac-cache-dir=kept", "--eac-results=2.json")
    for result in (first, second):
        result.assert_outcomes(passed=1)
    first.stdout.no_re_match_line(FROM_CACHE)
    second.stdout.re_match_lines([r"2 of 2 edits and [1-9]\d* measurements came from the cache.*"])
    one, two = (read_record(specs.pytester.path / f"{n}.json").chains[0] for n in (1, 2))
    assert one.checkpoints == two.checkpoints
    assert [cost.cached for cost in (*one.per_edit, *two.per_edit)] == [False, False, True, True]
    assert entries(root) > 4


def test_edits_that_are_added_are_solved_and_the_others_are_not(specs: Specs, root: Path) -> None:
    specs.run("--eac-cache-dir=kept", "--eac-limit-edits=1")
    result = specs.run("--eac-cache-dir=kept")
    result.stdout.re_match_lines([r"1 of 2 edits and .*"])


@pytest.mark.parametrize("where", ["option", "ini"])
def test_no_cache_neither_reads_nor_writes(specs: Specs, root: Path, where: str) -> None:
    specs.run("--eac-cache-dir=kept")
    before = {each.path: each.used for kind in (EDITS, MEASUREMENTS) for each in kept(root, kind)}
    if where == "ini":
        specs.pytester.makeini("[pytest]\neac_no_cache = true\n")
    arguments = ["--eac-no-cache"] if where == "option" else []
    result = specs.run("--eac-cache-dir=kept", *arguments)
    result.assert_outcomes(passed=1)
    result.stdout.no_re_match_line(FROM_CACHE)
    after = {each.path: each.used for kind in (EDITS, MEASUREMENTS) for each in kept(root, kind)}
    assert after == before
    specs.run("--eac-cache-dir=fresh", "--eac-no-cache")
    assert entries(specs.pytester.path / "fresh") == 0


def test_a_damaged_entry_is_told_among_the_warnings(specs: Specs, root: Path) -> None:
    specs.run("--eac-cache-dir=kept")
    largest = max(kept(root, EDITS), key=lambda each: each.size)
    largest.path.write_bytes(b"nonsense")
    result = specs.run("--eac-cache-dir=kept", "-Wdefault")
    result.assert_outcomes(passed=1)
    assert result.stdout.str().count("CacheWarning: ") == 1
    result.stdout.fnmatch_lines(["*CacheWarning: *computed again*", "1 of 2 edits and *"])


def test_a_cache_that_cannot_be_written_is_one_warning_and_the_run_goes_on(
    specs: Specs, root: Path
) -> None:
    root.write_text("a file where the folder should be")
    result = specs.run("--eac-cache-dir=kept", "-Wdefault")
    result.assert_outcomes(passed=1)
    assert result.stdout.str().count("CacheWarning: ") == 1
    result.stdout.fnmatch_lines(["*CacheWarning: cache folder *kept: *The run goes on*"])


def test_a_cache_that_cannot_be_written_does_not_stop_what_needs_statistics(specs: Specs) -> None:
    method = "{base: rome, layers: auto, covariance: {tokens: 500, ridge: 1.0}, value: {steps: 2}}"
    specs.write(methods=f"[m: {method}]")
    (specs.pytester.path / "kept").write_text("a file where the folder should be")
    result = specs.run("--eac-cache-dir=kept", "-Wdefault")
    result.assert_outcomes(passed=1)
    assert result.stdout.str().count("CacheWarning: ") == 1


def test_the_size_of_the_cache_is_kept_to(specs: Specs, root: Path) -> None:
    size = 20_000
    result = specs.run("--eac-cache-dir=kept", f"--eac-cache-size={size / 2**30:.9f}")
    result.assert_outcomes(passed=1)
    found = [each for kind in (EDITS, MEASUREMENTS) for each in kept(root, kind)]
    assert sum(each.size for each in found) <= size


@pytest.mark.parametrize("size", ["0", "-1", "4GB", "inf", "nan"])
def test_a_size_that_is_none_is_a_usage_error(specs: Specs, root: Path, size: str) -> None:
    result = specs.run(f"--eac-cache-size={size}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    expected = rf"--eac-cache-size: found '{re.escape(size)}', expected a number of GiB above 0.*"
    result.stderr.re_match_lines([f".*{expected}"])

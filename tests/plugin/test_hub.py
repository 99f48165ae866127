"""A model of the hub, fetched from a server that answers as the hub does."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pytest_eac.plugin import progress
from pytest_eac.store import default_cache_dir, read_record
from tests.conftest import TINY_LLAMA
from tests.hub_server import COMMIT, ID, WANTED, Hub, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugin.conftest import Specs

LOCAL = str(TINY_LLAMA)
MEGABYTES = f"{len(WANTED['model.safetensors']) / 1e6:.0f} MB"


@pytest.fixture
def hub(specs: Specs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with serving(specs.pytester.path, monkeypatch) as found:
        yield found


def test_a_model_is_fetched_once_and_reported_while_it_comes(specs: Specs, hub: Hub) -> None:
    hub.files["pytorch_model.bin"] = b"a pickle that nobody wants"
    specs.write(model=ID)
    result = specs.run("--eac-results=out.json")
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [rf"small eac-s0: 0/2 edits, fetching the model, [1-9] of {MEGABYTES}"]
    )
    assert sorted(hub.fetched) == sorted(WANTED)
    assert f'"revision": "{COMMIT}"' in (specs.pytester.path / "out.json").read_text()

    specs.run("--eac-offline").assert_outcomes(passed=1)
    assert sorted(hub.fetched) == sorted(WANTED)


def test_a_model_that_the_hub_has_not_got_is_a_skip(specs: Specs, hub: Hub) -> None:
    specs.write(model="someone/else")
    result = specs.run("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*someone/else* could not be fetched; run: hf download*"])
    assert hub.fetched == []


def test_a_release_is_fetched_before_it_is_compared_and_reported_meanwhile(
    specs: Specs, hub: Hub
) -> None:
    specs.write("{changed: {only: ['*']}}")
    result = specs.run(f"--eac-edited={ID}", "-k", "changed")
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [
            rf"small edited: 0/2 edits, fetching the model, \d of {MEGABYTES}",
            r"small edited: 0/2 edits, comparing tensor \d+ of \d+ with the base",
        ]
    )
    assert sorted(hub.fetched) == sorted(WANTED)


def test_what_a_run_has_fetched_is_enough_to_gate_offline(specs: Specs, hub: Hub) -> None:
    hub.files |= {"consolidated.safetensors": WANTED["model.safetensors"], "original/x.json": b"{}"}
    specs.write(model=ID)
    specs.run().assert_outcomes(passed=1)
    for edited in (LOCAL, ID):
        specs.run("--eac-offline", "--eac-require", f"--eac-edited={edited}").assert_outcomes(
            passed=2
        )
    assert sorted(hub.fetched) == sorted(WANTED)


@pytest.mark.parametrize("file", ["optimizer.pt", "adapter_config.json"])
def test_a_file_that_was_not_fetched_is_found_by_the_list_of_the_repository(
    specs: Specs, hub: Hub, file: str
) -> None:
    hub.files |= {file: b"{}", "consolidated.safetensors": b"other weights"}
    specs.write("{changed: {}, efficacy: {min: 0}}")
    for more in ((), ("--eac-offline",)):
        result = specs.run(f"--eac-edited={ID}", "-k", "changed", *more)
        result.assert_outcomes(failed=1, deselected=1)
        result.stdout.fnmatch_lines_random(
            ["  consolidated.safetensors: holds weights that *not compared*", f"  {file}: *"]
        )
    assert sorted(hub.fetched) == sorted(WANTED)
    for more in ((), ("--eac-offline",)) if file == "adapter_config.json" else ():
        result = specs.run(f"--eac-edited={ID}", "-k", "efficacy", *more)
        result.assert_outcomes(errors=1, deselected=1)
        result.stdout.fnmatch_lines([f"--eac-edited: {ID}: found an adapter * beside full*"])


def test_other_weights_that_are_the_bases_own_are_marked(specs: Specs, hub: Hub) -> None:
    hub.files |= {"consolidated.safetensors": b"weights", "x.GGUF": b"weights"}
    specs.write(model=ID)
    result = specs.run(f"--eac-edited={ID}", "-k", "changed", "--eac-results=out.json")
    result.assert_outcomes(passed=1, deselected=1)
    (release,) = read_record(specs.pytester.path / "out.json").releases
    assert release.changes.unedited == ("consolidated.safetensors", "x.GGUF")
    assert release.verdict is not None
    assert "the base's own, not edited: consolidated.safetensors, x.G" in release.verdict.message


def test_offline_without_the_list_changed_is_undecided(specs: Specs, hub: Hub) -> None:
    hub.files["optimizer.pt"] = b"a pickle"
    specs.write(model=ID)
    specs.run().assert_outcomes(passed=1)
    shutil.rmtree(default_cache_dir() / "listings")
    gate = ("--eac-offline", f"--eac-edited={ID}", f"--eac-model={LOCAL}", "-k", "changed")
    result = specs.run(*gate, "-rs")
    result.assert_outcomes(skipped=1, deselected=1)
    result.stdout.fnmatch_lines(["*files not listed: *run once without --eac-offline*"])
    result = specs.run(*gate, "--eac-require")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(["*files not listed: *"])

"""``checks.changed.signed_by`` from outside: on folders and on hub models."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_eac.cli import main
from pytest_eac.exporting.signing import open_signer, sign_folder
from pytest_eac.lm.loading.model_folder import SIGNATURE_BYTES
from pytest_eac.store import read_record
from tests.conftest import TINY_LLAMA
from tests.hub_server import ID, WANTED, Hub, serving
from tests.keys import make_key

if TYPE_CHECKING:
    from tests.plugin.conftest import Specs

LOCAL = TINY_LLAMA


@pytest.fixture
def release(specs: Specs) -> Path:
    """An unedited release that is signed, beside the key and a spec that asks for the signature."""
    private, _ = make_key(specs.pytester.path)
    specs.write("{changed: {signed_by: release.pub}}")
    folder = Path(shutil.copytree(LOCAL, specs.pytester.path / "released"))
    sign_folder(folder, open_signer(private), name="released")
    return folder


def test_a_signed_export_passes_and_the_verdict_names_the_key(specs: Specs) -> None:
    private, _ = make_key(specs.pytester.path)
    path = specs.write("{changed: {signed_by: release.pub, manifest: true}}")
    out = specs.pytester.path / "released"
    assert main(["export", str(path), "--out", str(out), f"--sign={private}"]) == 0
    specs.run("--eac-edited=released", "--eac-results=out.json").assert_outcomes(passed=1)
    (found,) = read_record(specs.pytester.path / "out.json").releases
    assert found.signature == ()
    assert found.verdict is not None
    assert found.verdict.required == "the base's structure, a manifest, signed by release.pub"


def test_each_file_that_is_not_as_signed_is_a_line(specs: Specs, release: Path) -> None:
    path = release / "edit-manifest.json"
    path.write_text("{}")
    config = release / "config.json"
    config.write_text(config.read_text() + " ")
    result = specs.run("--eac-edited=released")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "changed of released: * required the base's structure, signed by release.pub",
            "  config.json: is not what was signed (sha256 *), but *",
            "  edit-manifest.json: is not signed; model.sig does not list it",
            "small.eac.yaml:4: the check",
        ]
    )


def test_a_release_without_a_signature_fails_where_one_is_asked_for(
    specs: Specs, release: Path
) -> None:
    (release / "model.sig").unlink()
    result = specs.run("--eac-edited=released")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  model.sig: is missing: the files are not signed, *"])
    specs.write("{changed: {}}")
    specs.run("--eac-edited=released").assert_outcomes(passed=1)


def test_the_signature_of_somebody_else_fails(specs: Specs, release: Path) -> None:
    make_key(specs.pytester.path)  # another key under the same name
    result = specs.run("--eac-edited=released")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  model.sig: is not a signature by release.pub: another key*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_check_without_the_package_is_an_error_and_not_a_skip(
    specs: Specs, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    result = specs.run("--eac-edited=released")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*run: pip install 'pytest-eac[[]sign[]]'*"])


def test_a_signed_release_of_the_hub_passes_online_and_offline(
    specs: Specs, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (release / "LICENSE").write_text("mine")
    sign_folder(release, open_signer(specs.pytester.path / "release.pem"), name="released")
    with serving(specs.pytester.path, monkeypatch) as hub:
        hub.files = {each.name: each.read_bytes() for each in release.iterdir()}
        hub.files |= {".gitattributes": b"* lfs", "README.md": b"a card"}
        for more in ((), ("--eac-offline",)):
            specs.run(f"--eac-edited={ID}", *more).assert_outcomes(passed=1)
        assert sorted(hub.fetched) == sorted([*WANTED, "model.sig"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tokenizer_config.json", b"{}", "tokenizer_config.json: is not what was signed (sha256*"),
        ("training.md", b"x", "training.md: is not signed; model.sig does not list it"),
        ("model.sig", b" " * (SIGNATURE_BYTES + 1), "model.sig: is larger than 4,194,304 bytes*"),
        ("model.sig", None, "model.sig: is missing: the files are not signed, as is asked for"),
    ],
)
def test_a_hub_release_that_is_not_as_signed_fails(
    specs: Specs,
    release: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes | None,
    said: str,
) -> None:
    def changed(hub: Hub) -> None:
        hub.files = {each.name: each.read_bytes() for each in release.iterdir()}
        hub.files.pop(name, None)
        hub.files |= {} if content is None else {name: content}

    with serving(specs.pytester.path, monkeypatch) as hub:
        changed(hub)
        result = specs.run(f"--eac-edited={ID}")
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines([f"  {said}"])
        assert "model.sig" not in hub.fetched or len(hub.files["model.sig"]) <= SIGNATURE_BYTES

"""``export --sign`` and ``apply --signed-by``."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, get_args

import pytest

from pytest_eac.cli import main
from pytest_eac.exporting.whole import write_model
from pytest_eac.lm.loading import find
from pytest_eac.records.manifest import Form
from pytest_eac.signatures import check_signature
from tests.conftest import TINY_LLAMA, WORLD
from tests.keys import make_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOCAL = str(TINY_LLAMA)
METHOD = "{quick: {base: rome, layers: [1], contexts: {texts: ['{}']}, value: {steps: 2}}}"


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "facts.eac.yaml"
    edits = f"[{{from: {WORLD}, format: jsonl, take: 1}}]"
    path.write_text(f"eac: 1\nmethods: [{METHOD}]\nedits: {edits}\n", encoding="utf-8")
    return str(path)


def export(spec: str, out: Path, *more: str) -> int:
    return main(["export", spec, "--model", LOCAL, "--out", str(out), *more])


@pytest.mark.parametrize("form", get_args(Form))
def test_every_form_is_signed_as_a_whole(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: Form
) -> None:
    private, public = make_key(tmp_path)
    out = tmp_path / "out"
    assert export(spec, out, "--as", form, f"--sign={private}") == 0
    assert f"signed: {out / 'model.sig'}\n" in capsys.readouterr().out
    assert check_signature(out, [public]) == ()
    for path in out.iterdir():
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        changed = () if path.name == "README.md" else (path.name,)
        found = check_signature(out, [public])
        assert tuple(line.partition(":")[0] for line in found) == changed or path.suffix == ".sig"
        path.write_bytes(content)


def test_a_key_that_cannot_be_used_is_reported_before_the_model_is_loaded(
    spec: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("pytest_eac.lm.loading.load.load_model")
    private, public = make_key(tmp_path)
    private.chmod(0o604)
    for key, said in ((private, "chmod 600"), (public, "expected the PEM file of a private key")):
        assert export(spec, tmp_path / "out", f"--sign={key}") == 1
        assert said in capsys.readouterr().err


def test_a_signature_that_cannot_be_written_leaves_no_export(
    spec: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("model_signing.signing.Config.sign", full)
    private, _ = make_key(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert export(spec, tmp_path / "out", f"--sign={private}") == 1
    assert "out: cannot be written: No space left on device" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def _tamper(deltas: Path) -> None:
    path = deltas / "edit-manifest.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_tamper, "edit-manifest.json: is not what was signed (sha256"),
        (lambda deltas: (deltas / "model.sig").unlink(), "model.sig: is missing"),
    ],
)
def test_deltas_are_applied_only_if_their_signature_holds(
    spec: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], None],
    said: str,
) -> None:
    private, public = make_key(tmp_path)
    other = make_key(tmp_path, "other")[1]
    deltas, edited = tmp_path / "deltas", tmp_path / "edited"
    assert export(spec, deltas, "--as", "deltas", f"--sign={private}") == 0
    apply = ["apply", str(deltas), LOCAL, f"--signed-by={other}"]
    assert main([*apply, f"--out={edited}"]) == 1
    assert "model.sig: is not a signature by other.pub" in capsys.readouterr().err
    apply.append(f"--signed-by={public}")
    assert main([*apply, f"--out={tmp_path / 'fine'}"]) == 0
    change(deltas)
    assert main([*apply, f"--out={edited}"]) == 1
    assert said in capsys.readouterr().err
    assert not edited.exists()


@pytest.mark.parametrize("names", [("exact.safetensors", "edit-manifest.json"), ()])
def test_deltas_that_are_replaced_after_their_signature_was_verified_are_refused(
    spec: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
) -> None:
    private, public = make_key(tmp_path)
    signed, other = tmp_path / "signed", tmp_path / "other"
    assert export(spec, signed, "--as", "deltas", f"--sign={private}") == 0
    assert export(spec, other, "--as", "deltas", "--seed", "1") == 0
    finding = find.find_model

    def swap(*arguments: Any, **more: Any) -> Any:
        for path in [other / name for name in names] or list(other.iterdir()):
            shutil.copy(path, signed / path.name)
        return finding(*arguments, **more)

    monkeypatch.setattr(find, "find_model", swap)
    arguments = ["apply", str(signed), LOCAL, f"--out={tmp_path / 'edited'}"]
    assert main([*arguments, f"--signed-by={public}"]) == 1
    assert "edit-manifest.json: is not what was signed; was it" in capsys.readouterr().err
    assert not (tmp_path / "edited").exists()


def test_a_base_that_changes_while_deltas_are_applied_is_an_error(
    spec: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = tmp_path / "base"
    shutil.copytree(LOCAL, base)
    assert export(spec, tmp_path / "deltas", "--as", "deltas") == 0

    def change(*arguments: Any) -> None:
        (base / "vocab.txt").write_text("x")
        write_model(*arguments)

    monkeypatch.setattr("pytest_eac.exporting.deltas.write_model", change)
    assert main(["apply", str(tmp_path / "deltas"), str(base), f"--out={tmp_path / 'out'}"]) == 1
    assert "vocab.txt: was changed, added or removed while deltas were" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_key_that_apply_cannot_use_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "absent.pub"
    arguments = ["apply", LOCAL, LOCAL, "--out", str(tmp_path / "out"), f"--signed-by={key}"]
    assert main(arguments) == 1
    assert "absent.pub', expected the PEM file of a public key" in capsys.readouterr().err

"""Signatures of folders: what holds, and what each way of tampering ends in."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing.hashing import Config as Hashing
from model_signing.signing import Config as Signing

from pytest_eac.errors import ModelError, SettingsError
from pytest_eac.exporting.signing import PASSWORD, open_signer, sign_folder
from pytest_eac.lm.loading.model_folder import SIGNATURE_BYTES, ListedFile
from pytest_eac.records.manifest import SIGNATURE
from pytest_eac.signatures import check_signature, require_signed
from tests.keys import make_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

CONTENT = {"model.safetensors": b"weights", "config.json": b"{}", "sub/x.jinja": b"x", "empty": b""}


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return make_key(tmp_path)


@pytest.fixture
def signed(tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    """A folder with a model card that is signed."""
    folder = tmp_path / "unnamed"
    for name, content in CONTENT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "README.md").write_text("card")
    sign_folder(folder, open_signer(keys[0]), name="released")
    return folder


def statement(folder: Path) -> Any:
    bundle = json.loads((folder / SIGNATURE).read_text())
    return json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))


def command(arguments: list[str]) -> int:
    """Run the command of model-signing; returns its exit code."""
    (script,) = entry_points(group="console_scripts", name="model_signing")
    return CliRunner().invoke(script.load(), arguments).exit_code


def with_command(folder: Path, public: Path, *more: str) -> int:
    """Verify with the command of model-signing."""
    arguments = ["verify", "key", "--public_key", str(public), "--signature"]
    given = [*arguments, str(folder / SIGNATURE), *more, str(folder)]
    return command(given)


def test_every_file_but_the_card_is_signed_under_the_name_given(
    signed: Path, keys: tuple[Path, Path]
) -> None:
    found = statement(signed)
    names = {each["name"]: each["digest"] for each in found["predicate"]["resources"]}
    assert names == {name: hashlib.sha256(each).hexdigest() for name, each in CONTENT.items()}
    assert found["subject"][0]["name"] == "released"
    assert check_signature(signed, [keys[1]]) == ()


def test_the_command_of_model_signing_verifies_it_and_notices_a_change(
    signed: Path, keys: tuple[Path, Path]
) -> None:
    (signed / "README.md").write_text("edited on the hub")
    (signed / ".gitattributes").write_text("* lfs")
    (signed / ".cache" / "huggingface").mkdir(parents=True)
    (signed / ".cache" / "huggingface" / "x.metadata").write_text("x")
    assert check_signature(signed, [keys[1]]) == ()
    assert with_command(signed, keys[1]) == 0
    (signed / "config.json").write_text("[]")
    assert with_command(signed, keys[1]) == 1


def test_a_signature_made_with_the_command_of_model_signing_holds(
    signed: Path, keys: tuple[Path, Path]
) -> None:
    arguments = ["sign", "key", "--private_key", str(keys[0]), "--signature"]
    assert command([*arguments, str(signed / SIGNATURE), str(signed)]) == 0
    assert check_signature(signed, [keys[1]]) == ()
    (signed / "README.md").write_text("edited")  # this signature covers it
    (line,) = check_signature(signed, [keys[1]])
    assert line.startswith("README.md: is not what was signed (sha256 ")


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()], ids=lambda each: each.name)
def test_the_other_curves_can_be_used(
    signed: Path, tmp_path: Path, curve: ec.EllipticCurve
) -> None:
    private, public = make_key(tmp_path, "other", curve=curve)
    (signed / SIGNATURE).unlink()
    sign_folder(signed, open_signer(private), name="x")
    assert check_signature(signed, [public]) == ()


def test_any_one_of_several_keys_is_enough(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    other = make_key(tmp_path, "other")[1]
    assert check_signature(signed, [other, keys[1]]) == ()
    assert check_signature(signed, [other]) == (
        "model.sig: is not a signature by other.pub: another key was used, or the signature was "
        "altered",
    )


def test_altered_added_and_missing_files_are_named(signed: Path, keys: tuple[Path, Path]) -> None:
    (signed / "model.safetensors").write_bytes(b"Weights")
    (signed / "sub" / "evil.bin").write_bytes(b"x")
    (signed / "sub" / "README.md").write_bytes(b"x")
    (signed / "config.json").unlink()
    one, two = (hashlib.sha256(each).hexdigest()[:12] for each in (b"weights", b"Weights"))
    assert check_signature(signed, [keys[1]]) == (
        "config.json: is missing; model.sig lists it",
        f"model.safetensors: is not what was signed (sha256 {one}), but {two}",
        "sub/README.md: is not signed; model.sig does not list it",
        "sub/evil.bin: is not signed; model.sig does not list it",
    )
    with pytest.raises(ModelError) as raised:
        require_signed(signed, [keys[1]])
    assert str(raised.value).count(f"{signed}/") == 4


@pytest.mark.parametrize("name", ["README.md", ".gitattributes", ".gitignore"])
def test_a_folder_with_the_name_of_a_file_that_may_be_unsigned_does_not_hide_files(
    signed: Path, keys: tuple[Path, Path], name: str
) -> None:
    (signed / name).unlink(missing_ok=True)
    (signed / name).mkdir()
    (signed / name / "evil.md").write_text("x")
    (line,) = check_signature(signed, [keys[1]])
    assert line == f"{name}/evil.md: is not signed; model.sig does not list it"


@pytest.mark.parametrize("name", [".git", ".github", ".cache/huggingface"])
def test_a_file_or_link_with_the_name_of_a_folder_that_may_be_unsigned_is_named(
    signed: Path, keys: tuple[Path, Path], name: str
) -> None:
    (signed / name).parent.mkdir(exist_ok=True)
    (signed / name).write_text("gitdir: elsewhere")
    (line,) = check_signature(signed, [keys[1]])
    assert line == f"{name}: is not signed; model.sig does not list it"


def test_what_the_signer_left_out_is_not_signed(signed: Path, keys: tuple[Path, Path]) -> None:
    signer = Signing().use_elliptic_key_signer(private_key=keys[0])
    partial = Hashing().set_ignored_paths(paths=[SIGNATURE, "model.safetensors"])
    signer.set_hashing_config(partial).sign(signed, signed / SIGNATURE)
    assert with_command(signed, keys[1]) == 0
    assert check_signature(signed, [keys[1]]) == (
        "model.safetensors: is not signed; model.sig does not list it",
    )


@pytest.mark.parametrize(
    "hashing",
    [
        Hashing().use_shard_serialization(),
        Hashing().use_file_serialization(hashing_algorithm="blake2"),
    ],
    ids=["shards", "blake2"],
)
def test_signatures_over_other_hashes_are_refused(
    signed: Path, keys: tuple[Path, Path], hashing: Hashing
) -> None:
    signer = Signing().use_elliptic_key_signer(private_key=keys[0])
    signer.set_hashing_config(hashing).sign(signed, signed / SIGNATURE)
    (line,) = check_signature(signed, [keys[1]])
    assert line.startswith("model.sig: has hashes of another kind; expected SHA-256 of whole files")


def rewritten(change: Callable[[Any], object]) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        bundle = json.loads(path.read_text())
        change(bundle)
        path.write_text(json.dumps(bundle))

    return rewrite


def replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


def _lie(bundle: Any) -> None:
    """List one hash of another file, and keep the signature."""
    payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    payload["predicate"]["resources"][0]["digest"] = "0" * 64
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()


def _without_hint(bundle: Any) -> None:
    bundle["verificationMaterial"]["publicKey"] = {}
    _lie(bundle)


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path.unlink(), "is missing"),
    "empty": (lambda path: path.write_bytes(b""), "is not a signature of model-signing"),
    "truncated": (lambda path: os.truncate(path, 700), "is not a signature of model-signing"),
    "garbage": (lambda path: path.write_bytes(b"\xff\0" * 99), "is not a signature of"),
    "list": (lambda path: path.write_text("[1]"), "is not a signature of model-signing"),
    "nested": (lambda path: path.write_text("[" * 100_000), "is not a signature of"),
    "number": (lambda path: path.write_text("1" * 5000), "is not a signature of model-signing"),
    "nothing signed": (
        rewritten(lambda each: each["dsseEnvelope"].update(signatures=[])),
        "is not a signature of model-signing",
    ),
    "no envelope": (rewritten(lambda each: each.pop("dsseEnvelope")), "is not a signature of"),
    "other content": (rewritten(_lie), "is not a signature by release.pub"),
    "no hint": (rewritten(_without_hint), "is not a signature by release.pub"),
    "huge": (lambda path: os.truncate(path, SIGNATURE_BYTES + 1), "is larger than 4,194,304"),
    "folder": (replaced(lambda path: path.mkdir()), "cannot be read: is a directory"),
    "pipe": (replaced(os.mkfifo), "cannot be read: is a pipe"),
    "link": (
        lambda path: path.symlink_to(path.rename(path.parent.parent / "elsewhere.sig")),
        "is a link to ",
    ),
    "endless": (replaced(lambda path: path.symlink_to("/dev/zero")), "is a link to "),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_spoiled_signature_is_one_line(
    signed: Path, keys: tuple[Path, Path], capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    spoil, expected = SPOILED[kind]
    spoil(signed / SIGNATURE)
    (line,) = check_signature(signed, [keys[1]])
    assert line.startswith(f"model.sig: {expected}")
    assert len(line) < 400
    assert capsys.readouterr() == ("", "")


def test_the_signature_of_another_folder_does_not_hold(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    shutil.copyfile(signed / SIGNATURE, other / SIGNATURE)
    assert check_signature(other, [keys[1]]) == (
        "empty: is missing; model.sig lists it",
        "model.safetensors: is missing; model.sig lists it",
        "sub/x.jinja: is missing; model.sig lists it",
    )


def test_links_and_pipes_in_the_place_of_files_are_named(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    outside = tmp_path / "weights"
    (signed / "model.safetensors").rename(outside)
    (signed / "model.safetensors").symlink_to(outside)
    (signed / "empty").unlink()
    os.mkfifo(signed / "empty")
    (signed / "more").symlink_to(signed / "sub")
    (signed / "lost").symlink_to("nowhere")
    empty, lost, weights, more = check_signature(signed, [keys[1]])
    assert empty == "empty: cannot be read: is a pipe; expected a regular file"
    assert lost == "lost: is not signed; model.sig does not list it"
    assert weights.startswith(f"model.safetensors: is a link to {outside}, expected a file of")
    assert more == "more: is not signed; model.sig does not list it"


def test_a_snapshot_of_the_hub_is_links_to_its_own_files(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    repository = tmp_path / "models--a--b"
    (repository / "blobs").mkdir(parents=True)
    snapshot = repository / "snapshots" / "c0ffee"
    shutil.copytree(signed, snapshot)
    for path in [each for each in snapshot.rglob("*") if each.is_file()]:
        path.symlink_to(path.rename(repository / "blobs" / path.name))
    assert check_signature(snapshot, [keys[1]]) == ()


def test_files_that_are_only_listed_are_compared_by_their_listed_hash(
    signed: Path, keys: tuple[Path, Path]
) -> None:
    def listed(digest: str | None, *more: str) -> list[ListedFile]:
        return [
            ListedFile(name="model.safetensors", size=7, hash=digest),
            *(ListedFile(name=name, size=1) for name in more),
        ]

    (signed / "model.safetensors").unlink()
    right, wrong, blob = hashlib.sha256(b"weights").hexdigest(), "0" * 64, "0" * 40

    def check(files: Iterable[ListedFile] | None) -> tuple[str, ...]:
        return check_signature(signed, [keys[1]], files=files)

    assert check(listed(right)) == check(listed(blob)) == check(listed(None)) == check(None) == ()
    assert check(()) == ("model.safetensors: is missing; model.sig lists it",)
    (line,) = check(listed(wrong))
    assert line.startswith("model.safetensors: is not what was signed (sha256 ")
    assert check(listed(right, "evil.bin", "README.md", ".gitattributes")) == (
        "evil.bin: is not signed; model.sig does not list it",
    )
    (signed / SIGNATURE).unlink()
    (line,) = check([ListedFile(name=SIGNATURE, size=10**10)])
    assert line == "model.sig: is larger than 4,194,304 bytes, which no signature is"


def test_an_encrypted_key_takes_its_password_from_the_environment(
    signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = make_key(tmp_path, "secret", password="päss word")
    with pytest.raises(
        SettingsError, match=f"is encrypted; put its password into .* as {PASSWORD}"
    ):
        open_signer(private)
    monkeypatch.setenv(PASSWORD, "another")
    with pytest.raises(SettingsError, match=f"cannot be decrypted with the password in {PASSWORD}"):
        open_signer(private)
    monkeypatch.setenv(PASSWORD, "päss word")
    sign_folder(signed, open_signer(private), name="x")
    assert check_signature(signed, [public]) == ()
    open_signer(make_key(tmp_path, "plain")[0])  # whose password nobody asks for


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda folder: folder / "absent", "absent', expected the PEM file of a private"),
        (lambda folder: folder, "found '.*', which is a directory: expected the PEM"),
        (lambda folder: make_key(folder)[1], "release.pub: expected the PEM file of a private"),
        (lambda folder: make_key(folder, is_rsa=True)[0], "is a private key of another kind, exp"),
        (
            lambda folder: make_key(folder, curve=ec.SECP256K1())[0],
            r"is a private key of another kind, expected .* \(P-256, P-384, P-521\)",
        ),
    ],
)
def test_a_private_key_that_cannot_be_used_is_an_error(
    tmp_path: Path, make: Callable[[Path], Path], expected: str
) -> None:
    with pytest.raises(SettingsError, match=expected):
        open_signer(make(tmp_path))


def test_a_private_key_that_everybody_can_read_is_refused(keys: tuple[Path, Path]) -> None:
    keys[0].chmod(0o644)
    with pytest.raises(SettingsError, match=r"\(mode 0644\); run: chmod 600 .*release\.pem"):
        open_signer(keys[0])


def test_a_public_key_of_another_kind_is_an_error(signed: Path, tmp_path: Path) -> None:
    public = make_key(tmp_path, "other", is_rsa=True)[1]
    with pytest.raises(SettingsError, match="which holds a key of another kind"):
        check_signature(signed, [public])
    text = (signed.parent / "release.pub").read_text().splitlines()
    text[2] = "A" * len(text[2])  # no point of the curve
    public.write_text("\n".join(text))
    with pytest.raises(SettingsError, match=r"other\.pub: is not a usable key"):
        check_signature(signed, [public])


def test_without_the_package_the_error_has_the_command(
    signed: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    for use in (lambda: open_signer(keys[0]), lambda: check_signature(signed, [keys[1]])):
        with pytest.raises(SettingsError, match=r"run: pip install 'pytest-eac\[sign\]'"):
            use()

"""A model of the hub, fetched from a server that answers as the hub does, and told meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.plugin.conftest import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugin.conftest import Specs

ID, COMMIT = "someone/tiny", "c0ffee" * 6 + "c0ff"
FILES = {
    each.name: each.read_bytes() for each in (FIXTURES / "tiny-llama").iterdir() if each.is_file()
} | {"pytorch_model.bin": b"a pickle that nobody wants"}


class Hub(BaseHTTPRequestHandler):
    """Answers what huggingface_hub asks of a model."""

    asked: list[str]

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer."""
        path = urlsplit(self.path).path
        name = path.rpartition("/")[2]
        if path.startswith(f"/api/models/{ID}/revision/") or path == f"/api/models/{ID}":
            files = [{"rfilename": each} for each in FILES]
            self._send(json.dumps({"id": ID, "sha": COMMIT, "siblings": files}).encode())
        elif path.startswith(f"/api/models/{ID}/tree/"):
            tree = [
                {"type": "file", "path": each, "size": len(body), "oid": _tag(body)}
                for each, body in FILES.items()
            ]
            self._send(json.dumps(tree).encode())
        elif path.startswith(f"/{ID}/resolve/") and name in FILES:
            if self.command == "GET":
                self.asked.append(name)
            self._send(FILES[name], {"ETag": f'"{_tag(FILES[name])}"', "X-Repo-Commit": COMMIT})
        else:
            missing = "EntryNotFound" if f"{ID}/" in path else "RepoNotFound"
            self._send(b"{}", {"X-Error-Code": missing}, status=404)

    def _send(self, body: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _tag(body: bytes) -> str:
    return hashlib.sha1(body, usedforsecurity=False).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, specs: Specs) -> Iterator[list[str]]:
    """The names of the files that were fetched."""
    Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HOME", str(specs.pytester.path / "hub"))
    for name in [each for each in os.environ if each.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    yield Hub.asked
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_a_model_is_fetched_once_and_told_while_it_comes(specs: Specs, hub: list[str]) -> None:
    specs.pytester.makeconftest("from pytest_eac.plugin import progress\nprogress.EVERY = 0.0\n")
    specs.write(model=ID)
    result = specs.pytester.runpytest_subprocess("--eac-results=out.json")
    result.assert_outcomes(passed=1)
    size = len(FILES["model.safetensors"]) / 1e6
    result.stdout.re_match_lines(
        [rf"small eac-s0: 0/2 edits, fetching the model, 1 of {size:.0f} MB"]
    )
    assert "pytorch_model.bin" not in hub
    assert "model.safetensors" in hub
    assert f'"revision": "{COMMIT}"' in (specs.pytester.path / "out.json").read_text()

    fetched = len(hub)
    specs.pytester.runpytest_subprocess("--eac-offline").assert_outcomes(passed=1)
    assert len(hub) == fetched


@pytest.mark.slow
def test_a_model_that_the_hub_has_not_got_is_a_skip(specs: Specs, hub: list[str]) -> None:
    specs.write(model="someone/else")
    result = specs.pytester.runpytest_subprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*someone/else* could not be fetched; run: hf download*"])
    assert hub == []


@pytest.mark.slow
def test_a_release_is_fetched_before_it_is_compared_and_told_meanwhile(
    specs: Specs, hub: list[str]
) -> None:
    specs.pytester.makeconftest("from pytest_eac.plugin import progress\nprogress.EVERY = 0.0\n")
    specs.write("{changed: {only: ['*']}}")
    result = specs.pytester.runpytest_subprocess(f"--eac-edited={ID}", "-k", "changed")
    result.assert_outcomes(passed=1)
    size = len(FILES["model.safetensors"]) / 1e6
    result.stdout.re_match_lines(
        [
            rf"small edited: 0/2 edits, fetching the model, \d of {size:.0f} MB",
            r"small edited: 0/2 edits, comparing tensor \d+ of \d+ with the base",
        ]
    )
    assert "model.safetensors" in hub

"""A server on this machine that answers as the hub does, for one model whose files a test names."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from huggingface_hub import constants

from tests.conftest import TINY_LLAMA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

ID, COMMIT = "someone/tiny", "c0ffee" * 6 + "c0ff"
WANTED = {each.name: each.read_bytes() for each in (TINY_LLAMA).iterdir() if each.is_file()}


@dataclass
class Hub:
    """What the model's repository has, and the names of the files that were fetched from it."""

    files: dict[str, bytes] = field(default_factory=lambda: dict(WANTED))
    fetched: list[str] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """Answers the requests that huggingface_hub makes for a model."""

    hub: Hub

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer."""
        path, files = urlsplit(self.path).path, self.hub.files
        name = path.removeprefix(f"/{ID}/resolve/").partition("/")[2]
        if path.startswith(f"/api/models/{ID}/revision/") or path == f"/api/models/{ID}":
            siblings = [{"rfilename": each} for each in files]
            self._send(json.dumps({"id": ID, "sha": COMMIT, "siblings": siblings}).encode())
        elif path.startswith(f"/api/models/{ID}/tree/"):
            tree = [
                {"type": "file", "path": each, "size": len(body), "oid": _tag(body)}
                for each, body in files.items()
            ]
            self._send(json.dumps(tree).encode())
        elif path.startswith(f"/{ID}/resolve/") and name in files:
            if self.command == "GET":
                self.hub.fetched.append(name)
            body = files[name]
            self._send(body, {"ETag": f'"{_tag(body)}"', "X-Repo-Commit": COMMIT})
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


@contextmanager
def serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve a hub to this process, which keeps what it fetches in a folder."""
    hub = Hub()
    handler = type("OwnHandler", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    place = f"http://127.0.0.1:{server.server_port}"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, place)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", place)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()

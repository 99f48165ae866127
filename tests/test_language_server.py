"""The schema in an editor: a real YAML language server, spoken to over its standard input.

Needs node, and the server in a folder that ``YAML_LANGUAGE_SERVER`` names
(``npm install --prefix FOLDER yaml-language-server``).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.spec.metrics import BUILT_IN
from pytest_eac.spec.schema.spec_file import json_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = "node_modules/yaml-language-server/bin/yaml-language-server"
TEXT = """\
eac: 1
methods: [rome, {own: {base: rome-eac, anchors: {raito: 1}}}]
edits:
  - {subject: Oslo, prompt: "{} lies in", target: Peru}
checks:
  efficacy: {min: 2}
  loclaity: {min: 1}
  \nsedes: [0]
"""


class Server:
    """Speaks the language server protocol, as far as it is needed here."""

    def __init__(self, command: list[str], settings: dict[str, Any]) -> None:
        self.settings = settings
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.asked = 0

    def send(self, **message: Any) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """Return the next message; the server's own questions are about the settings."""
        assert self.process.stdout
        length = 0
        while line := self.process.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        message: dict[str, Any] = json.loads(self.process.stdout.read(length))
        if "id" in message and "method" in message:
            items = message["params"].get("items", ())
            answer = [self.settings.get(each.get("section")) for each in items]
            self.send(id=message["id"], result=answer or None)
        return message

    def ask(self, method: str, **params: Any) -> Any:
        self.asked += 1
        self.send(id=self.asked, method=method, params=params)
        while True:
            message = self.receive()
            if message.get("id") == self.asked and "method" not in message:
                return message["result"]

    def told(self, method: str) -> Any:
        while True:
            message = self.receive()
            if message.get("method") == method:
                return message["params"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = os.environ.get("YAML_LANGUAGE_SERVER")
    node = shutil.which("node")
    if node is None or folder is None or not Path(folder, SERVER).is_file():
        pytest.skip(
            "no YAML language server: npm install --prefix FOLDER yaml-language-server, and set "
            "YAML_LANGUAGE_SERVER=FOLDER"
        )
    schema = tmp_path / "eac.schema.json"
    schema.write_text(json.dumps(json_schema()), encoding="utf-8")
    yaml = {"schemas": {schema.as_uri(): ["*.eac.yaml"]}, "schemaStore": {"enable": False}}
    yaml |= {"validate": True, "completion": True}
    found = Server([node, str(Path(folder, SERVER)), "--stdio"], {"yaml": yaml})
    try:
        capabilities = {"workspace": {"configuration": True}, "textDocument": {"completion": {}}}
        found.ask(
            "initialize", processId=None, rootUri=tmp_path.as_uri(), capabilities=capabilities
        )
        found.send(method="initialized", params={})
        found.send(method="workspace/didChangeConfiguration", params={"settings": {"yaml": yaml}})
        yield found
    finally:
        found.process.kill()
        found.process.communicate()


@pytest.mark.slow
def test_an_editor_offers_the_checks_and_marks_what_is_wrong(
    server: Server, tmp_path: Path
) -> None:
    uri = (tmp_path / "x.eac.yaml").as_uri()
    document = {"uri": uri, "languageId": "yaml", "version": 1, "text": TEXT}
    server.send(method="textDocument/didOpen", params={"textDocument": document})
    marked = {
        (each["range"]["start"]["line"] + 1, each["message"])
        for each in server.told("textDocument/publishDiagnostics")["diagnostics"]
    }
    assert marked == {
        (2, "Property raito is not allowed."),
        (6, "Value is above the maximum of 1."),
        (7, "Property loclaity is not allowed."),
        (9, "Property sedes is not allowed."),
    }
    place = {"line": 7, "character": 2}
    offered = server.ask("textDocument/completion", textDocument={"uri": uri}, position=place)
    labels = {each["label"]: each.get("documentation") for each in offered["items"]}
    assert {"known", "generalization", "locality", "retention", "abilities"} <= set(labels)
    assert "efficacy" not in labels, "it is there already"
    assert labels["generalization"] == BUILT_IN["generalization"].asks

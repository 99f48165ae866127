from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_eac import __version__
from pytest_eac.cli import main
from pytest_eac.spec.schema import json_schema

SPECS = Path(__file__).parents[1] / "specs"
GOOD = (
    "eac: 1\nmethods: [rome, rome-eac]\nseeds: [0, 1, 2]\n"
    'edits: [{subject: Oslo, prompt: "{} lies in", target: Peru}]\n'
)
BAD = GOOD + "sedes: [1]\nname: 3\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    return capsys.readouterr().err


def test_validate_counts_the_edits_and_chains_of_a_good_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "good.eac.yaml", GOOD)
    assert run(capsys, "validate", file) == (0, f"{file}: ok, 1 edits, 6 chains\n", "")


def test_validate_accepts_the_shipped_specs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(SPECS.parent)
    code, out, err = run(capsys, "validate", SPECS / "quickstart.eac.yaml")
    assert (code, err) == (0, "")
    assert out.endswith("quickstart.eac.yaml: ok, 16 edits, 2 chains\n")


def test_validate_prints_every_problem_of_a_bad_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "bad.eac.yaml", BAD)
    code, out, err = run(capsys, "validate", file)
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        f"{file}:5:1: sedes: unknown key 'sedes'; did you mean 'seeds'?",
        f"{file}:6:7: name: found 3, expected a text; put it in quotes",
    ]


def test_validate_goes_on_after_a_bad_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = write(tmp_path / "bad.eac.yaml", BAD)
    good = write(tmp_path / "good.eac.yaml", GOOD)
    code, out, err = run(capsys, "validate", bad, good)
    assert code == 1
    assert out == f"{good}: ok, 1 edits, 6 chains\n"
    assert err.count(str(bad)) == 2


def test_validate_finds_the_specs_of_a_folder_and_leaves_other_files_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write(tmp_path / "a.eac.yaml", GOOD)
    two = write(tmp_path / "deep" / "b.yml", GOOD)
    write(tmp_path / "compose.yaml", "services: {eac: 1}\n")
    code, out, err = run(capsys, "validate", tmp_path)
    assert (code, err) == (0, "")
    assert [line.split(": ")[0] for line in out.splitlines()] == [str(one), str(two)]


@pytest.mark.parametrize("name", ["nowhere.yaml", "empty"])
def test_validate_complains_where_there_is_no_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "empty").mkdir()
    path = tmp_path / name
    assert run(capsys, "validate", path) == (
        1,
        "",
        f"{path}: no spec here; a spec is a YAML file with 'eac: 1'\n",
    )


def test_validate_reads_a_named_file_even_if_it_is_no_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "validate", write(tmp_path / "x.yaml", "name: x\n"))
    assert (code, out) == (1, "")
    assert "missing key 'eac'" in err


def test_schema_prints_the_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "schema")
    assert (code, err) == (0, "")
    assert json.loads(out) == json_schema()
    assert out.endswith("}\n")


@pytest.mark.parametrize("arguments", [(), ("validate",), ("run", "x"), ("schema", "x")])
def test_wrong_usage_exits_with_2_and_says_how_to_use_it(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert "usage: pytest-eac" in usage_error(capsys, *arguments)


def test_version_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--version"])
    assert raised.value.code == 0
    assert capsys.readouterr().out == f"pytest-eac {__version__}\n"


def test_validate_needs_neither_torch_nor_pytest(tmp_path: Path) -> None:
    file = write(tmp_path / "good.eac.yaml", GOOD)
    code = (
        "import sys; from pytest_eac.cli import main; "
        f"assert main(['validate', {str(file)!r}]) == 0; "
        "print(sorted({'torch', 'transformers', 'pytest', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_eac import __version__
from pytest_eac.cache.entries import Cache, Entry
from pytest_eac.cache.kinds import KINDS, kept
from pytest_eac.cli import main
from pytest_eac.records.run import Chain, Record
from pytest_eac.spec import registry
from pytest_eac.spec.schema.spec_file import json_schema
from pytest_eac.store import write_record
from tests.command_line import run
from tests.conftest import ROOT, TINY_LLAMA, WORLD
from tests.files import write
from tests.judging.hand_made_chains import chain, checkpoint, of_its_edits

if TYPE_CHECKING:
    from collections.abc import Iterator

SPECS = ROOT / "specs"
EDITS = 'eac: 1\nedits: [{subject: Oslo, prompt: "{} lies in", target: Peru}]\n'
GOOD = EDITS + "methods: [rome, rome-eac]\nseeds: [0, 1, 2]\n"
BAD = GOOD + "sedes: [1]\nname: 3\n"


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    return capsys.readouterr().err


def test_validate_counts_the_edits_and_chains_of_a_good_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "good.eac.yaml", GOOD)
    assert run(capsys, "validate", file) == (0, f"{file}: ok, 1 edit, 6 chains\n", "")


def test_validate_counts_the_chains_at_other_strengths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare = (
        "checks: {compare: ["
        "{metric: deviation, less: rome-eac, than: rome, at_equal: retention}, "
        "{metric: deviation, less: rome-eac, than: rome, "
        "at_equal: {metric: efficacy, by: value.steps, values: [5, 10]}}]}\n"
    )
    file = write(tmp_path / "equal.eac.yaml", GOOD + compare)
    code, out, _ = run(capsys, "validate", file)
    assert code == 0
    more = "and up to 36 more at other strengths (at_equal)"  # (4 + 2) of 2 methods, 3 seeds
    assert out == f"{file}: ok, 1 edit, 6 chains {more}\n"


def test_validate_says_what_a_bound_on_a_loss_can_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """.97 ** 99 is just below .05: of 120 items none may be lost, and .99 ** 120 is .30."""
    checks = (
        "checks: {abilities: {qa: {loses_at_most: 0.03, confidence: 0.95}, "
        "nli: {loses_at_most: 0.1}, "
        "reading: {loses_at_most: 0.1, confidence: 0.95, data: mine.jsonl}}}\n"
    )
    (tmp_path / "mine.jsonl").write_text("")
    file = write(tmp_path / "harm.eac.yaml", GOOD + checks + "stats: {correction: none}\n")
    code, out, _ = run(capsys, "validate", file)
    assert code == 0
    assert out.splitlines()[1:] == [
        "  qa: loses_at_most 0.03 with confidence 0.95 needs 99 items or more, if none of them "
        "loses; with 120 items of which 1% are lost, it passes with a chance of 0.30",
        "  reading: loses_at_most 0.1 with confidence 0.95 needs 29 items or more, if none of them "
        "loses",
    ]
    file.write_text(file.read_text().replace("correction: none", "suite: holm"))
    _, out, _ = run(capsys, "validate", file)
    assert "corrected over 12 checks, needs 180 items or more" in out.splitlines()[1]


def test_validate_warns_of_what_can_show_nothing_and_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "same.eac.yaml"
    edit = '{subject: Oslo, prompt: "{} lies in", target: Peru, truth: " Peru"}'
    file.write_text(f"eac: 1\nscoring: {{match: success}}\nedits:\n  - {edit}\n")
    code, out, err = run(capsys, "validate", file)
    assert (code, out) == (0, f"{file}: ok, 1 edit, 1 chain, 1 warning\n")
    assert err.startswith(
        f"{file}:4:51: warning: edits[0].target: the target 'Peru' is the truth: "
    )


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
    assert out == f"{good}: ok, 1 edit, 6 chains\n"
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


@pytest.mark.parametrize("name", ["nowhere.yaml", "empty", "test_a.py"])
def test_validate_complains_where_there_is_no_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "test_a.py").write_text("x: int = 1\n")
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


def test_validate_reports_a_file_that_is_named_as_a_spec_and_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "good.eac.yaml", GOOD)
    (tmp_path / "windows.eac.yaml").write_bytes(GOOD.encode("utf-16"))
    code, out, err = run(capsys, "validate", tmp_path)
    assert code == 1
    assert "good.eac.yaml: ok" in out
    assert "windows.eac.yaml:1:1: found UTF-16, expected UTF-8; save the file as UTF-8" in err


METHOD = """
from pytest_eac import Method

def pytest_eac_register_methods():
    return {"NAME": Method(solve="nowhere:solve")}
"""


@pytest.fixture
def _imports() -> Iterator[None]:
    """Undo what loading a conftest.py does to this process."""
    modules, finders, folders = dict(sys.modules), list(sys.meta_path), list(sys.path)
    yield
    sys.modules.update(modules)
    sys.meta_path[:], sys.path[:] = finders, folders


@pytest.mark.usefixtures("_imports")
def test_methods_of_conftest_files_are_known_to_the_specs_below_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "pytest.ini", "[pytest]\n")
    write(tmp_path / "conftest.py", METHOD.replace("NAME", "ours"))
    write(tmp_path / "one" / "conftest.py", METHOD.replace("NAME", "mine"))
    text = EDITS + "methods: [x: {base: ours}, y: {base: mine}]\nchecks: {efficacy: {min: 0}}\n"
    files = [write(tmp_path / name / "a.eac.yaml", text) for name in ("one", "two")]
    code, out, err = run(capsys, "validate", tmp_path)
    assert (code, out) == (1, f"{files[0]}: ok, 1 edit, 2 chains\n")
    assert err.startswith(f"{files[1]}:")
    assert "unknown method 'mine'" in err
    assert "'ours'" not in err
    assert "mine" not in registry.names(registry.METHODS)
    code, out, err = run(capsys, "explain", f"{files[0]}::y-s0::efficacy")
    assert (code, err) == (0, "")
    assert "y-s0::efficacy" in out


SOLVED = """
from pytest_eac import WeightDelta
import torch

def solve(model, edits, settings):
    path = model.layout.down.format(settings.layers[0])
    return WeightDelta(module=path, left=torch.full((64, 176), 1e-3))

def pytest_eac_register_methods():
    return {"ours": solve}
"""


@pytest.mark.usefixtures("_imports")
def test_ask_and_export_know_the_methods_of_a_conftest_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "pytest.ini", "[pytest]\n")
    write(tmp_path / "conftest.py", SOLVED)
    text = EDITS + "methods: [x: {base: ours, layers: [1]}]\nchecks: {efficacy: {min: 0}}\n"
    file = write(tmp_path / "a.eac.yaml", text)
    options = ("--model", TINY, "--cache-dir", tmp_path / "cache")
    code, _, err = run(capsys, "ask", file, *options)
    assert (code, err) == (0, "")
    code, out, err = run(capsys, "export", file, *options, "--out", tmp_path / "out", "--as=deltas")
    assert (code, err) == (0, "")
    assert "1 edit" in out


@pytest.mark.usefixtures("_imports")
def test_a_conftest_that_cannot_be_loaded_is_named_and_other_specs_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "one" / "conftest.py", "import nothing_of_this_name\n")
    write(tmp_path / "two" / "conftest.py", METHOD.replace("NAME", "rome"))
    for name in ("one", "two", "three"):
        write(tmp_path / name / "a.eac.yaml", GOOD)
    code, out, err = run(capsys, "validate", tmp_path)
    assert code == 1
    assert out == f"{tmp_path / 'three' / 'a.eac.yaml'}: ok, 1 edit, 6 chains\n"
    first, second = err.splitlines()
    assert first.startswith(
        f"{tmp_path / 'one' / 'a.eac.yaml'}: pytest cannot load the conftest.py"
    )
    assert "No module named 'nothing_of_this_name'" in first
    assert second.startswith("pytest_eac_register_methods: 'rome' is a built-in method; give yours")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_what_an_encoding_cannot_show_is_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    file = write(tmp_path / "Ōsaka-\udcff.eac.yaml", GOOD)  # a name of other bytes than UTF-8's
    shown = BytesIO()
    monkeypatch.setattr("sys.stdout", TextIOWrapper(shown, encoding=encoding))
    assert main(["validate", str(file)]) == 0
    sys.stdout.flush()
    name = {"ascii": "\\u014csaka", "utf-8": "Ōsaka"}[encoding]
    end = f"{name}-\\udcff.eac.yaml: ok, 1 edit, 6 chains\n"
    assert shown.getvalue().decode(encoding).endswith(end)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_what_cannot_be_printed_is_an_error_and_no_traceback() -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; from pytest_eac.cli import main; sys.exit(main())",
        "schema",
    ]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "standard output: cannot be written: No space left on device\n"


def test_a_command_whose_output_is_closed_ends_as_it_would() -> None:
    code = (
        "import sys; sys.stdout = None; from pytest_eac.cli import main; sys.exit(main(['schema']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


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


# ask


def test_ask_reports_all_prompts_that_are_too_long_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "word " * 200
    edits = "".join(
        f'  - {{subject: {name}, prompt: "{long}{{}} lies in", target: Peru}}\n'
        for name in ("Oslo", "Bergen")
    )
    file = write(tmp_path / "facts.eac.yaml", f"eac: 1\nmodel: {TINY}\nedits:\n{edits}")
    code, out, err = run(capsys, "ask", file)
    assert (code, out) == (1, "")
    assert "edit 1 of 2 (Oslo, " in err
    assert "edit 2 of 2 (Bergen, " in err


def test_ask_tells_what_the_model_says_and_whether_that_is_the_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"""
eac: 1
model: {TINY}
edits:
  - {{from: {WORLD}, format: jsonl, take: 1}}
  - {{subject: Sabeth Grennock, prompt: "{{}} was born in", target: Port Vessin}}
  - subject: Oslo
    prompt: Oslo lies in
    target: Peru
    truth: Chad
    neighborhood:
      - {{prompt: The capital of Peru is}}
      - {{prompt: Odalys Ardwick was born in, answer: Oz}}
"""
    file = write(tmp_path / "facts.eac.yaml", text)
    code, out, err = run(capsys, "ask", file, "--cache-dir", tmp_path / "cache")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith("world.jsonl:1: Odalys Ardwick")
    assert lines[1].startswith("  yes prompt     ")
    assert f"{file}:7: Oslo" in lines
    marked = [line for line in lines if "will not count" in line]
    assert marked == [
        "  the edit will not count: the unedited model already gives the target: 'Port Vessin'"
    ]
    assert lines[-3].startswith("  no  prompt     Oslo lies in -> ")
    assert lines[-3].endswith(", not 'Chad'")
    assert lines[-2].startswith("  -   neighbor   The capital of Peru is -> ")
    assert lines[-1].startswith("  no  neighbor   Odalys Ardwick was born in -> ")
    some = run(capsys, "ask", file, "--limit-edits", 1, "--cache-dir", tmp_path / "cache")
    assert "Oslo" not in some[1]


# locate

FACTS = f"eac: 1\nmethods: [rome]\nedits: [{{from: {WORLD}, format: jsonl, take: 3}}]\n"
TINY = TINY_LLAMA


def test_locate_tells_the_effects_and_draws_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "facts.eac.yaml", FACTS + f"model: {TINY}\n")
    picture = tmp_path / "new" / "effects.svg"
    options = ("--samples", 2, "--cache-dir", tmp_path / "cache", "--picture", picture)
    code, out, err = run(capsys, "locate", file, *options)
    assert (code, err) == (0, "")
    assert "5 layers, weights" in out
    assert "3 of 3 facts" in out
    assert "    layers: [" in out
    assert out.endswith(f"picture written to {picture}\n")
    assert [line for line in out.splitlines()[:-1] if len(line) > 80] == []
    drawn = ET.parse(picture).getroot()
    assert len(drawn.findall("{http://www.w3.org/2000/svg}circle")) == 5
    assert run(capsys, "locate", file, *options) == (0, out, "")


def test_locate_takes_the_model_the_edits_the_seed_and_the_window_from_its_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "facts.eac.yaml", FACTS + "model: no/such/model\n")
    code, out, err = run(
        capsys, "locate", file, "--model", TINY, "--limit-edits", 2, "--seed", 5,
        "--samples", 1, "--window", 4, "--cache-dir", tmp_path / "cache",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "2 of 2 facts" in out
    assert "1 noise sample each of 3 x " in out
    assert "seed 5" in out
    assert "MLP outputs of 4 layers" in out


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (BAD, (), "unknown key 'sedes'; did you mean 'seeds'?"),
        (GOOD, (), "no model is named; give --model or add model: to the spec"),
        (GOOD, ("--model", "/no/such/folder"), "there is no such file or folder; give the path"),
        (
            GOOD,
            ("--model", str(TINY)),
            "knows none of the facts (asked: 1), so there",
        ),
        (GOOD, ("--model", "x", "--picture", str(ROOT)), f"{ROOT}: cannot be written: it is a fo"),
        (
            GOOD,
            ("--model", "x", "--picture", str(ROOT / "README.md")),
            "README.md: there is a file that does not hold the picture of an earlier run",
        ),
    ],
    ids=["spec", "no-model", "missing-model", "unknown", "picture", "picture-of-others"],
)
def test_locate_says_what_is_wrong(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    options: tuple[str, ...],
    said: str,
) -> None:
    known = text.replace("target: Peru", "target: Peru, truth: Chad")
    file = write(tmp_path / "some.eac.yaml", known)
    code, out, err = run(capsys, "locate", file, "--cache-dir", tmp_path / "cache", *options)
    assert (code, out) == (1, "")
    assert said in err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--seed", "-1"), ("--samples", "0"), ("--limit-edits", "x"), ("--window", "1.5")],
)
def test_locate_refuses_what_is_no_count(
    capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    said = usage_error(capsys, "locate", "x.yaml", option, value)
    assert f"argument {option}: found '{value}', expected a whole number from " in said


def test_stats_build_measures_once_what_the_methods_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n\n".join(f"The bell rang {n} times." for n in range(40)), encoding="utf-8")
    covariance = "covariance: {corpus: corpus.txt, ridge: 1}"
    file = write(
        tmp_path / "some.eac.yaml",
        EDITS
        + f"model: {TINY}\nmethods:\n"
        + f"  - a: {{base: memit, layers: [1, 2], {covariance}}}\n"
        + f"  - b: {{base: rome, layers: [1], {covariance}}}\n"
        + "  - c: {base: ft, layers: [1]}\n",
    )
    cache = tmp_path / "cache"
    for _ in range(2):
        code, out, err = run(capsys, "stats", "build", file, "--cache-dir", cache)
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert [line.partition(":")[0] for line in lines] == [
            "model.layers.1.mlp.down_proj",
            "model.layers.2.mlp.down_proj",
        ]
        assert "tokens, eigenvalues at 10 %" in lines[0]
    assert len(list((cache / "covariance").glob("*.safetensors"))) == 2


def test_stats_build_says_when_there_is_nothing_to_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = EDITS + f"model: {TINY}\nmethods: [{{x: {{base: ft, layers: [1]}}}}]\n"
    file = write(tmp_path / "some.eac.yaml", text)
    assert run(capsys, "stats", "build", file) == (0, f"{file}: no method reads a covariance\n", "")


def test_cache_info_tells_what_is_kept_of_each_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Cache(tmp_path).write("edits", {"n": 1}, Entry(data=1))
    code, out, err = run(capsys, "cache", "info", "--cache-dir", tmp_path)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == str(tmp_path)
    counted = {line.split()[0]: line.split()[1] for line in out.splitlines()[2:]}
    assert counted == {kind: "1" if kind == "edits" else "0" for kind in KINDS}


@pytest.mark.parametrize(
    ("chosen", "left"), [(["edits"], ["measurements"]), ([], []), (["tracings"], ["both"])]
)
def test_cache_clear_removes_the_kinds_that_are_named_or_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], chosen: list[str], left: list[str]
) -> None:
    for kind in ("edits", "measurements"):
        Cache(tmp_path).write(kind, {"n": 1}, Entry(data=1))
    code, out, err = run(capsys, "cache", "clear", *chosen, "--cache-dir", tmp_path)
    assert (code, err) == (0, "")
    assert [line.split(":")[0].strip() for line in out.splitlines()[1:]] == (chosen or list(KINDS))
    found = [kind for kind in ("edits", "measurements") if kept(tmp_path, kind)]
    assert found == (["edits", "measurements"] if left == ["both"] else left)


def test_cache_clear_refuses_a_kind_that_does_not_exist(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = usage_error(capsys, "cache", "clear", "edit")
    kinds = "models, covariance, partial, tracings, listings, edits, measurements"
    assert f"found 'edit', expected {kinds}" in told


def test_cache_uses_the_folder_of_the_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_EAC_CACHE", str(tmp_path / "mine"))
    assert run(capsys, "cache", "info")[1].startswith(f"{tmp_path / 'mine'}\n")


# compare


def results(path: Path, *chains: Chain) -> Path:
    write_record(path, Record(environment={}, chains=tuple(map(of_its_edits, chains))))
    return path


@pytest.mark.parametrize(
    ("options", "starts"),
    [([], "run "), (["--format", "markdown"], "# Comparison"), (["--format", "json"], "{\n")],
)
def test_compare_tells_what_has_changed_in_each_format(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], starts: str
) -> None:
    old, new = (chain(checkpoint(2, relative=each)) for each in (0.2, 0.1))
    files = results(tmp_path / "a.json", old), results(tmp_path / "b.json", new)
    code, out, err = run(capsys, "compare", *files, *options, "--metric", "deviation")
    assert (code, err) == (0, "")
    assert out.startswith(starts)
    assert "deviation" in out
    assert "-50.0%" in out or '"change": -0.5' in out
    assert "| locality |" not in out


def test_compare_says_which_file_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = results(tmp_path / "a.json")
    code, out, err = run(capsys, "compare", good, tmp_path / "b.json")
    assert (code, out) == (1, "")
    assert err.startswith(f"{tmp_path / 'b.json'}: cannot be read")
    assert "arguments are required: FILE" in usage_error(capsys, "compare")


def test_compare_holds_the_seeds_and_the_methods_of_one_run_against_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chains = [
        chain(checkpoint(2, relative=each), method=method, seed=seed)
        for method, seed, each in (("rome", 0, 0.2), ("rome", 1, 0.1), ("ft", 0, 0.4), ("ft", 1, 1))
    ]
    file = results(tmp_path / "a.json", *chains)
    code, out, err = run(capsys, "compare", file, "--metric", "deviation")
    assert (code, err) == (0, "")
    told = [line for line in out.splitlines() if " against " in line]
    pairs = [("rome-s1", "rome-s0"), ("ft-s0", "rome-s0"), ("ft-s1", "ft-s0"), ("ft-s1", "rome-s1")]
    assert told == [f"{one} against {other}" for one, other in pairs]
    for moved in ("-50.0%", "+100.0%", "+150.0%", "+900.0%"):
        assert moved in out


def test_compare_says_what_it_has_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = results(tmp_path / "a.json", chain(checkpoint(2)))
    err = run(capsys, "compare", file)[2]
    assert err.startswith(f"{file}: has no two chains of the same spec to compare; run with two ")
    code, _, err = run(capsys, "compare", file, file, "--metric", "locallity")
    assert code == 1
    assert err.startswith("--metric: no run has 'locallity'; did you mean 'locality'?")

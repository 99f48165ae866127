"""Methods, metrics and sources that other packages bring."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.errors import SettingsError
from pytest_eac.spec import registry
from pytest_eac.spec.methods import BUILT_IN, find_method, method_names
from pytest_eac.spec.registry import METHODS, METRICS, SOURCES, find, names, register
from pytest_eac.spec.registry_entries import Method

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("_own_registry")


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A package with a method, a metric, and two entry points that lead nowhere."""
    (tmp_path / "bringing_methods.py").write_text(
        "from pytest_eac import Method\n"
        "def solve(model, edits, settings): return ()\n"
        "spread = Method(solve=solve, takes_value=True)\n"
    )
    (tmp_path / "broken_on_import.py").write_text("raise RuntimeError('no luck')\n")
    monkeypatch.syspath_prepend(tmp_path)
    points = [
        EntryPoint("plain", "bringing_methods:solve", "pytest_eac.methods"),
        EntryPoint("spread", "bringing_methods:spread", "pytest_eac.methods"),
        EntryPoint("gone", "not_there_at_all:solve", "pytest_eac.methods"),
        EntryPoint("nameless", "bringing_methods:solv", "pytest_eac.methods"),
        EntryPoint("broken", "broken_on_import:metric", "pytest_eac.metrics"),
    ]

    def entry_points(*, group: str) -> tuple[EntryPoint, ...]:
        return tuple(point for point in points if point.group == group)

    monkeypatch.setattr(registry, "entry_points", entry_points)


def test_what_is_registered_is_found_until_it_is_forgotten() -> None:
    thing, other = object(), object()
    assert find(METRICS, "mine") is None
    register(METRICS, "mine", thing)
    assert find(METRICS, "mine") is thing
    register(METRICS, "mine", other)
    assert find(METRICS, "mine") is other
    assert "mine" in names(METRICS)
    registry.forget()
    assert find(METRICS, "mine") is None
    assert "mine" not in names(METRICS)


def test_a_name_is_of_its_kind_alone() -> None:
    register(METRICS, "mine", len)
    assert find(METHODS, "mine") is find(SOURCES, "mine") is None
    assert "mine" not in {*names(METHODS), *names(SOURCES)}


def test_a_method_can_be_a_plain_callable_or_say_more() -> None:
    register(METHODS, "plain", len)
    register(METHODS, "more", Method(solve=len, takes_value=True, many_layers=False))
    assert find_method("plain") == Method(solve=len)
    assert find_method("plain").resolve() is len
    assert not find_method("more").many_layers
    assert (find_method("more").anchors, find_method("more-eac").anchors) == (False, True)
    with pytest.raises(KeyError, match="unknown method 'plain-eac'; did you mean 'plain'"):
        find_method("plain-eac")
    assert method_names() == (*BUILT_IN, "more", "plain")


def test_a_built_in_method_cannot_be_replaced() -> None:
    register(METHODS, "rome", len)
    assert find_method("rome") is BUILT_IN["rome"]
    assert method_names().count("rome") == 1


@pytest.mark.usefixtures("announced")
def test_an_announced_method_is_known_by_name_and_imported_when_it_is_asked_for() -> None:
    assert names(METHODS) == ("gone", "nameless", "plain", "spread")
    assert "bringing_methods" not in sys.modules
    try:
        assert find_method("plain").resolve()(1, 2, 3) == ()
        assert "bringing_methods" in sys.modules
        assert find_method("spread-eac").anchors
    finally:
        sys.modules.pop("bringing_methods", None)


@pytest.mark.usefixtures("announced")
def test_a_registered_thing_goes_before_an_announced_one() -> None:
    register(METHODS, "gone", len)
    assert find_method("gone").resolve() is len


@pytest.mark.usefixtures("announced")
@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        (METHODS, "gone", "(entry point pytest_eac.methods: not_there_at_all:solve)"),
        (METHODS, "gone", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        (METHODS, "nameless", "AttributeError: module 'bringing_methods' has no attribute 'solv'"),
        (METRICS, "broken", "RuntimeError: no luck"),
    ],
)
def test_what_is_announced_but_cannot_be_imported_is_told(kind: str, name: str, said: str) -> None:
    try:
        with pytest.raises(SettingsError) as caught:
            find(kind, name)
    finally:
        sys.modules.pop("bringing_methods", None)
    assert str(caught.value).startswith(f"an installed package announces {name!r}")
    assert said in str(caught.value)


def test_an_announced_thing_that_fails_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dist:
        name = "pytest-eac-more"

    class Point:
        name, value, dist = "x", "more:x", Dist()

        def load(self) -> Any:
            raise ImportError("needs a newer torch")

    monkeypatch.setattr(registry, "entry_points", lambda *, group: (Point(),))
    with pytest.raises(SettingsError, match=r"^pytest-eac-more announces 'x' .* a newer torch"):
        find(SOURCES, "x")

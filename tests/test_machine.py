from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

SKIPS = """
    import pytest

    @pytest.fixture
    def browser():
        pytest.skip("no browser: apt-get install chromium")

    def test_in_a_fixture(browser): ...

    @pytest.mark.skipif(True, reason="no node: install it")
    def test_by_a_mark(): ...

    def test_in_its_body():
        pytest.skip("no data")

    @pytest.mark.xfail
    def test_known_to_fail():
        assert False

    def test_that_runs(): ...
"""


def test_what_is_missing_skips_on_a_users_machine(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.machine.IN_CI", False)
    monkeypatch.setattr("tests.machine.TESTS", pytester.path)
    pytester.makepyfile(SKIPS)
    result = pytester.runpytest_inprocess("-p", "tests.machine")
    result.assert_outcomes(passed=1, skipped=3, xfailed=1)


def test_what_is_missing_fails_in_ci(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.machine.IN_CI", True)
    monkeypatch.setattr("tests.machine.TESTS", pytester.path)
    pytester.makepyfile(SKIPS)
    result = pytester.runpytest_inprocess("-p", "tests.machine")
    result.assert_outcomes(passed=1, errors=2, failed=1, xfailed=1)
    result.stdout.fnmatch_lines(["*CI=true does not allow*: *no browser: apt-get install chromium"])


def test_a_skip_in_tests_of_others_stays_one(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.machine.IN_CI", True)
    pytester.makepyfile(SKIPS)
    pytester.runpytest_inprocess("-p", "tests.machine").assert_outcomes(
        passed=1, skipped=3, xfailed=1
    )


def test_a_machine_without_published_data_deselects_its_tests(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.machine.IN_CI", True)
    monkeypatch.setattr("tests.machine.TESTS", pytester.path)
    monkeypatch.setenv("PYTEST_EAC_REAL_DATA", "none")
    pytester.makepyfile("""
        import pytest

        @pytest.fixture
        def real_data():
            pytest.skip("not here")

        @pytest.fixture
        def one_of_its_files(real_data): ...

        def test_of_the_folder(real_data): ...

        def test_of_a_file(one_of_its_files): ...

        def test_of_something_else(): ...
    """)
    result = pytester.runpytest_inprocess("-p", "tests.machine")
    result.assert_outcomes(passed=1, deselected=2)

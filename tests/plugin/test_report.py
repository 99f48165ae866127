"""``--eac-report`` from outside: a page of the run, opened as a reader would."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pytest_eac.records.run import Record
from pytest_eac.reporting.html.page import report_page
from tests.conftest import FIXTURES, ROOT
from tests.judging.hand_made_chains import chain, checkpoint, miss, share
from tests.plugin.conftest import QUICK, SIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.plugin.conftest import Specs

# The flags keep Chromium from looking for its maker's hosts.
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SECTIONS = (
    "Why", "Methods", "Deviation against edits", "Abilities kept", "At each checkpoint",
    "Cost per edit", "Forgetting", "Edits", "Environment",
)  # fmt: skip


def test_a_run_is_written_as_a_page_with_the_command_that_made_it(
    specs: Specs, stored: Path
) -> None:
    result = specs.run(f"--eac-from-results={stored.name}", "--eac-report=out/page.html")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["report written to *page.html"])
    text = (specs.pytester.path / "out" / "page.html").read_text(encoding="utf-8")
    assert "All 2 checks passed" in text
    assert "pytest --eac-from-results=stored.json --eac-report=out/page.html" in text


def test_what_fails_stands_in_the_page(specs: Specs, stored: Path) -> None:
    specs.write("{deviation: {max_relative: 0.0}}", methods=QUICK, edits=SIX)
    result = specs.run(f"--eac-from-results={stored.name}", "--eac-report=page.html")
    result.assert_outcomes(failed=1)
    text = (specs.pytester.path / "page.html").read_text(encoding="utf-8")
    assert "1 of 1 checks failed" in text
    assert "required at most 0" in text


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        found = engine.chromium.launch(executable_path=chromium, args=QUIET)
        yield found
        found.close()


@pytest.fixture
def report(specs: Specs) -> Path:
    """The page of a real run: three methods, thirty edits, all abilities (fixtures/README.md)."""
    for name in ("abilities.eac.yaml", "thirty-facts.jsonl"):
        shutil.copy(ROOT / "specs" / name, specs.pytester.path / name)
    file = specs.pytester.path / "page.html"
    methods = [f"--eac-method={name}" for name in ("rome", "rome-eac", "ft")]
    results = f"--eac-from-results={FIXTURES / 'smollm2-thirty-edits.json'}"
    specs.run("abilities.eac.yaml", *methods, results, f"--eac-report={file}")
    return file


def opened(browser: Browser, file: Path, trouble: list[str], **how: object) -> Page:
    page = browser.new_context(**how).new_page()  # type: ignore[arg-type]
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: trouble.append(request.url))
    page.goto(file.as_uri())
    return page


@pytest.mark.slow
def test_the_page_of_a_real_run_works_in_a_browser(browser: Browser, report: Path) -> None:
    trouble: list[str] = []
    page = opened(browser, report, trouble, viewport={"width": 1200, "height": 900})
    assert trouble == [report.as_uri()]  # itself, and nothing else: no message, no request
    headings = [each.strip() for each in page.locator("h2, h3").all_inner_texts()]
    assert [each for each in SECTIONS if each not in headings] == []
    assert page.locator("figure svg polyline").count() > 30
    assert page.locator("#heat canvas").count() == 3

    page.select_option("#which", "all")
    assert page.locator("#count").inner_text() == "90 of 90 edits, page 1 of 2"
    page.click("#rows th:has-text('seconds') button")
    seconds = [float(each) for each in page.locator("#rows td[data-of=seconds]").all_inner_texts()]
    assert len(seconds) == 50
    assert seconds == sorted(seconds)
    page.fill("#find", "Osaka")
    assert page.locator("#rows tbody tr").count() == 3

    deviation = page.locator("table.sortable").first.locator("th:has-text('deviation') button")
    deviation.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    column = page.locator("table.sortable").first.locator("tbody td:nth-child(8)")
    found = [float(each) for each in column.all_inner_texts()]
    assert found == sorted(found, reverse=True)
    assert trouble == [report.as_uri()]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_small_screen_shows_all_of_it(browser: Browser, report: Path, scheme: str) -> None:
    page = opened(browser, report, [], viewport={"width": 390, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    edges = page.locator("#rows td").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().right)"
    )
    assert edges
    assert max(edges) <= 390, "an edit is read without scrolling sideways"


@pytest.mark.slow
def test_a_large_run_is_a_page_that_draws_little(browser: Browser, tmp_path: Path) -> None:
    """Twelve chains of a thousand edits: curves are thinned, fifty edits are drawn at a time."""
    ats = [
        checkpoint(at, share(0.5, at, *map(miss, range(0, at, 2)))) for at in range(100, 1001, 100)
    ]
    chains = tuple(chain(*ats, method=f"m{k // 3}", seed=k % 3) for k in range(12))
    text = report_page(Record(environment={}, chains=chains), (), command="pytest", version="1")
    file = tmp_path / "large.html"
    file.write_text(text, encoding="utf-8")
    assert file.stat().st_size < 8e6
    trouble: list[str] = []
    page = opened(browser, file, trouble, viewport={"width": 1200, "height": 900})
    assert page.locator("*").count() < 10_000
    page.select_option("#which", "all")
    assert page.locator("#count").inner_text() == "12000 of 12000 edits, page 1 of 240"
    assert page.locator("#rows tbody tr").count() == 50
    page.fill("#find", "prompt 777")
    assert page.locator("#count").inner_text() == "12 of 12000 edits"
    assert trouble == [file.as_uri()]

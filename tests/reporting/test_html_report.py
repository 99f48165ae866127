"""The page of a run: what it says, and that nothing of an edit can take it over."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.records.checkpoint_diff import Changes
from pytest_eac.records.run import Chain, Comparison, Miss, Record, Release, Verdict
from pytest_eac.reporting.html.edit_table import script_data
from pytest_eac.reporting.html.page import headline, report_page
from pytest_eac.reporting.outcomes import Outcome
from pytest_eac.reporting.svg import MOST_POINTS, Point, thinned, ticks
from pytest_eac.untrusted_text import visible
from tests.judging.hand_made_chains import ABILITY, able, chain, checkpoint, having, rewritten

NASTY = "</script><script>alert(1)</script><!-- & \"quoted\" 'x' \u2028"


def outcome(kind: str, message: str = "") -> Outcome:
    return Outcome(name="x.yaml::a", outcome=kind, file="x.yaml", line=3, message=message)


def page(*chains: Chain, outcomes: tuple[Outcome, ...] = ()) -> str:
    record = Record(environment={"torch": "2"}, chains=chains)
    return report_page(record, outcomes, command="pytest x.yaml", version="1")


def nasty() -> Chain:
    plain = chain(checkpoint(2), able(4, nli=ABILITY))
    edits = tuple(rewritten(each, prompt=NASTY, target=NASTY) for each in plain.edits)
    miss = Miss(edit=0, group="prompt", got=NASTY, score=0.0)
    last = plain.checkpoints[-1]
    missed = having(last, "retention", replace(last.metrics["retention"], misses=(miss,)))
    return replace(plain, edits=edits, checkpoints=(*plain.checkpoints[:-1], missed))


def test_no_text_of_an_edit_leaves_the_place_it_is_put_in() -> None:
    text = page(nasty(), outcomes=(outcome("failed", NASTY),))
    assert text.count("</script>") == 2  # the page's own
    assert "<!--" not in text
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    assert json.loads(found[1])["chains"][0]["edits"][0]["prompt"] == visible(NASTY)


def test_an_edit_brings_what_failed_of_it() -> None:
    (row, *_) = json.loads(script_data([nasty()]))["chains"][0]["edits"]
    (miss,) = row["misses"]
    assert (miss["metric"], miss["expected"], miss["got"]) == (
        "retention",
        visible(NASTY),
        visible(NASTY),
    )


def test_the_page_names_no_other_place() -> None:
    text = page(chain(checkpoint(4)))
    assert not re.findall(r"""(?:src|href|url|import)\s*[=(]\s*["']?(?!#|data:)[a-z/]""", text)
    assert "default-src 'none'" in text


@pytest.mark.parametrize(
    ("kinds", "verdict", "text"),
    [
        ([], "none", "Nothing was judged"),
        (["passed", "passed"], "passed", "All 2 checks passed"),
        (["passed", "skipped"], "passed", "1 checks passed, 1 could not be decided"),
        (["skipped"], "undecided", "No check has passed: 1 could not be decided"),
        (["passed", "xfailed"], "passed", "1 checks passed, 1 failed as expected"),
        (["passed", "error", "failed", "skipped"], "failed", "2 of 4 checks failed"),
    ],
)
def test_the_headline_is_the_runs_verdict(kinds: list[str], verdict: str, text: str) -> None:
    found = headline([outcome(kind) for kind in kinds])
    assert (found.outcome, found.text) == (verdict, text)


def test_why_a_check_failed_stands_at_the_top() -> None:
    text = page(chain(checkpoint(4)), outcomes=(outcome("passed"), outcome("failed", "too < far")))
    assert "too &lt; far" in text
    assert text.index("too &lt; far") < text.index("<h3>Methods</h3>")


def test_each_chain_and_ability_has_its_numbers_with_intervals() -> None:
    text = page(chain(checkpoint(2), able(4, nli=ABILITY)), chain(checkpoint(4), method="ft"))
    assert "0.733 (0.62 to 0.85)" in text
    assert text.count('aria-label="nli kept at each checkpoint"') == 1
    assert text.count("45% to 100%<br>n=10") == 5 * 2


def test_a_run_without_chains_is_a_page_as_well() -> None:
    assert "No check has run." in page()


NUMBERS = st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False)


@given(st.tuples(NUMBERS, st.floats(1e-6, 1e6)))
def test_ticks_are_round_few_and_hold_the_numbers(found: tuple[float, float]) -> None:
    low, high = found[0], found[0] + found[1]
    marks = ticks(low, high)
    step = marks[1] - marks[0]
    assert 2 <= len(marks) <= 8
    assert marks[0] <= low + 1e-6 * step
    assert marks[-1] >= high - 1e-6 * step


@given(st.integers(0, 5000))
def test_long_lines_are_thinned_and_keep_their_ends(count: int) -> None:
    points = [Point(x=k, y=0) for k in range(count)]
    kept = thinned(points)
    assert len(kept) == min(count, MOST_POINTS)
    assert [point.x for point in kept] == sorted({point.x for point in kept})
    assert (kept[:1], kept[-1:]) == (tuple(points[:1]), tuple(points[-1:]))


def test_verdicts_without_a_message_are_shown_all_the_same() -> None:
    plain = chain(checkpoint(2))
    judged = Verdict(check="changed", outcome="passed", observed=None, required="", message="")
    changes = Changes(tensors=1, differences=(), troubles=(), rank_limit=1)
    release = Release(
        spec=plain.spec, base="b", edited="e", changes=changes, manifest=False, verdict=judged
    )
    compared = Comparison(spec=plain.spec, **{**asdict(judged), "check": "silent-check"})
    record = Record(environment={}, chains=(plain,), comparisons=(compared,), releases=(release,))
    assert "silent-check" in report_page(record, (), command="pytest", version="1")

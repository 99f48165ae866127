"""How edits were written, over a chain: the row of the tables, and what failures point to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_eac.judging.diagnosis import diagnose
from pytest_eac.judging.edit_diagnostics import summarise
from pytest_eac.records.diagnostics import Diagnostics, MatrixDiagnostics
from pytest_eac.records.run import Record
from pytest_eac.reporting.diagnostics_table import diagnostics_lines, diagnostics_table, noted
from pytest_eac.reporting.html.page import report_page
from pytest_eac.reporting.markdown import summary
from pytest_eac.reporting.terminal import summary_lines
from tests.judging.hand_made_chains import COST
from tests.judging.test_diagnosis import judged

if TYPE_CHECKING:
    from pytest_eac.records.run import Chain


def matrix(**more: Any) -> MatrixDiagnostics:
    given = {"token_ratio": 20.9, "condition": 128.0, "key_product": 600.0, **more}
    return MatrixDiagnostics(module="m", **given)


def solved(of: Chain, *edits: Diagnostics | None) -> Chain:
    return replace(of, per_edit=tuple(replace(COST, diagnostics=each) for each in edits))


def projected(energy: float, missed: float, **judgements: Any) -> Chain:
    one = matrix(rank=444, energy=energy, key_share=0.1)
    two = matrix(rank=454, energy=energy / 2, condition=150.0, token_ratio=10.0, key_product=90.0)
    return solved(
        judged("alphaedit", update={"energy": 0.2, "threshold": None, "l2": 10.0}, **judgements),
        Diagnostics(matrices=(one, two), value_norm=12.0, missed=missed / 2),
        None,
        Diagnostics(matrices=(one, two), value_norm=14.0, missed=missed),
        Diagnostics(matrices=(one, two), value_norm=99.0, missed=2 * missed),
    )


HEADINGS = ("P rank", "energy", "tok/in", "cond C", "k.u", "|v*|", "missed", "worst")
ROW = ("444-454", "10%", "10", "150", "345", "14", "30%", "60%")


def test_a_row_has_the_extremes_of_the_matrices_and_the_medians_of_the_edits() -> None:
    chain = projected(0.1, 0.3)
    assert diagnostics_table([chain, judged()]) == [("chain", *HEADINGS), (chain.name, *ROW)]


def test_what_no_edit_of_a_chain_has_is_a_dash_and_what_none_has_is_no_column() -> None:
    nothing = solved(judged(), Diagnostics(matrices=(MatrixDiagnostics(module="m"),)))
    chain = projected(0.1, 0.3)
    assert diagnostics_table([chain, nothing])[2] == (nothing.name, *("-",) * 8)
    plain = solved(judged(), Diagnostics(matrices=(matrix(),), missed=0.0))
    assert diagnostics_table([plain, nothing]) == [
        ("chain", "tok/in", "cond C", "k.u", "missed", "worst"),
        (plain.name, "20.9", "128", "600", "0.0%", "0.0%"),
        (nothing.name, "-", "-", "-", "-", "-"),
    ]
    assert diagnostics_table([nothing]) == []
    assert diagnostics_lines([nothing]) == []
    assert summarise(judged()) is None


def test_the_terminal_says_what_each_column_is_and_no_other() -> None:
    plain = solved(judged(), Diagnostics(matrices=(matrix(),), missed=0.0))
    said = " ".join(diagnostics_lines([plain])[2:])
    assert "tok/in: tokens of the covariance C per input; cond C: " in said
    assert "P rank" not in said


def test_terminal_and_markdown_show_the_row_and_each_note_once() -> None:
    chains = [
        replace(projected(0.1, 0.3), notes=("few tokens: <b>9</b>", "not comparable")),
        replace(judged("nas"), notes=("few tokens: <b>9</b>",)),
    ]
    lines = summary_lines(chains)
    assert max(map(len, lines)) <= 80
    assert any(line.split() == [chains[0].name, *ROW] for line in lines)
    assert "alphaedit-s0, nas-s0: few tokens: <b>9</b>" in lines
    assert "alphaedit-s0: not comparable" in lines
    page = summary(chains, [])
    assert f"| {chains[0].name} | {' | '.join(ROW)} |" in page
    assert "alphaedit-s0, nas-s0: few tokens: &lt;b&gt;9&lt;/b&gt;" in page
    assert noted([judged()]) == []
    assert not any("missed" in line for line in summary_lines([judged()]))


def test_a_value_that_is_not_written_is_not_one_that_is_not_found() -> None:
    found = diagnose(projected(0.1, 0.6, failed="efficacy", edits=4))
    assert (
        "values are solved but not written: in the median, 60% of the change at the subject is "
        "missing after the update. To change: update.l2 down (now 10); update.energy up (now 0.2)"
    ) in found
    assert not any(
        "not written" in each for each in diagnose(projected(0.1, 0.4, failed="efficacy"))
    )
    held = projected(0.1, 0.6, passed="efficacy", failed="locality")
    assert not any("not written" in each for each in diagnose(held))


def test_a_null_space_with_most_of_the_energy_is_called_none() -> None:
    lost = {"passed": "efficacy retention", "failed": "locality"}
    (much,) = (each for each in diagnose(projected(0.61, 0.1, **lost)) if "projection" in each)
    assert much.startswith(
        "the projection protects little: the directions that are written to (454) have 61% of the "
        "energy of other texts' keys. To change: "
    )
    assert not any("projection" in each for each in diagnose(projected(0.2, 0.1, **lost)))
    assert not any("projection" in each for each in diagnose(projected(0.61, 0.1)))


def test_the_page_has_the_row_and_the_notes_made_harmless() -> None:
    chain = replace(projected(0.1, 0.3), notes=("few tokens: <b>9</b>",))
    record = Record(environment={}, chains=(chain,))
    page = report_page(record, [], command="pytest", version="1")
    assert f"<td>{'</td><td>'.join(ROW)}</td>" in page
    assert "alphaedit-s0: few tokens: &lt;b&gt;9&lt;/b&gt;" in page
    assert "<b>9</b>" not in page
    plain = report_page(Record(environment={}, chains=(judged(),)), [], command="", version="1")
    assert "How edits were written" not in plain
    assert 'class="notes"' not in plain


def test_large_numbers_leave_room_between_the_columns() -> None:
    wide = matrix(token_ratio=0.001234, condition=3.21e7, key_product=3216.0)
    chain = solved(judged(), Diagnostics(matrices=(wide,), value_norm=75.8))
    assert diagnostics_table([chain])[1][1:] == ("1e-03", "3e+07", "3216", "75.8")

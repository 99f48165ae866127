"""``pytest-eac explain``: what a check means, what it is measured on, and its results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_eac.errors import SettingsError
from pytest_eac.untrusted_text import say_each

if TYPE_CHECKING:
    import argparse

    from pytest_eac.cli.conftests import ReadSpec
    from pytest_eac.reporting.explanation import NamedCheck
    from pytest_eac.spec.spec import Spec


def add(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    parser.add_argument(
        "node", metavar="NODEID", help="SPEC::CHAIN::CHECK, as pytest --collect-only -q shows it"
    )
    parser.add_argument(
        "--results",
        action="append",
        default=[],
        metavar="FILE",
        help="what --eac-results has written (repeatable, the oldest first)",
    )


def run(chosen: argparse.Namespace) -> int:
    """Print the explanation."""
    from pytest_eac.judging.stored_texts import with_texts
    from pytest_eac.reporting.explanation import explanation
    from pytest_eac.store import read_record

    asked = _asked(chosen.node, chosen.read_spec)
    records = {file: with_texts(read_record(Path(file)), Path(file)) for file in chosen.results}
    say_each(explanation(asked, records))
    return 0


def _asked(node: str, read_spec: ReadSpec) -> NamedCheck:
    """Find what a node id names.

    Raises:
        SpecError: the spec cannot be read.
        SettingsError: it has no such chain or check.
    """
    from pytest_eac.records.run import EDITED, samples_id
    from pytest_eac.reporting.explanation import COMPARE, NamedCheck
    from pytest_eac.spec.nearest_name import closest
    from pytest_eac.spec.spec import comparison_id

    file, _, rest = node.partition("::")
    chain, _, check = rest.partition("::")
    if not (file and chain and check):
        raise SettingsError(
            f"found {node!r}, expected SPEC::CHAIN::CHECK, as pytest --collect-only -q shows it"
        )
    spec = read_spec(Path(file))
    method = seed = None
    over = [each.name for each in spec.methods if samples_id(each.name) == chain]
    if over and spec.samples > 1:
        method = over[0]
    elif chain not in {COMPARE, EDITED}:
        spec, method, seed = _chain(spec, chain)
    own = [name for name, _ in spec.checks.named()]
    known = [*own, *(each.id for each in spec.properties)]
    if chain == COMPARE:
        known = [comparison_id(each) for each in spec.checks.compare]
    elif over:
        known = [name for name, _ in spec.checks.pooled()]
    elif chain == EDITED:
        known = ["changed", *own]
    if check not in known and not (seed is not None and check.startswith("baseline-")):
        hint = closest(check, known)
        raise SettingsError(f"{file}: {check!r} is not a check of {chain}{hint}")
    return NamedCheck(spec=spec, chain=chain, check=check, method=method, seed=seed)


def _chain(spec: Spec, name: str) -> tuple[Spec, str, int]:
    """Split ``METHOD-sSEED`` or ``METHOD-sSEED-eSAMPLE``, and take that sample of the spec.

    The method may be one that ``--eac-method`` would name.
    """
    from pytest_eac.records.run import ChainKey
    from pytest_eac.spec.nearest_name import closest

    samples = spec.each_sample()
    method, _, number = name.rpartition("-s")
    seed, *_ = number.partition("-e")
    if seed.isdecimal():
        for each in samples:
            if ChainKey("", method, int(seed), each.sample).name == name:
                try:
                    return each, spec.with_methods((method,)).methods[0].name, int(seed)
                except ValueError:
                    break  # reported below, with the chains that there are
    known = [
        ChainKey("", each.name, seed, sample).name
        for each in spec.methods
        for seed in spec.seeds
        for sample in range(spec.samples)
    ]
    raise SettingsError(f"{spec.file}: {name!r} is not a chain of this spec{closest(name, known)}")

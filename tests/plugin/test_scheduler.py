"""In which order pytest-xdist deals out chains and comparisons."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from pytest_eac.plugin.scheduler import ChainScheduling

IDS = [
    "a.eac.yaml::compare::deviation-eac-than-plain",
    "a.eac.yaml::plain-s0::efficacy",
    "a.eac.yaml::plain-s0::locality",
    "a.eac.yaml::eac-s0::efficacy",
    "b.eac.yaml::compare::locality-x-than-y",
    "test_b.py::compare::test_one",
]


class Node:
    """A worker that writes down what it is sent."""

    shutting_down = False

    def __init__(self) -> None:
        self.sent: list[list[str]] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.sent.append([IDS[index] for index in indices])


def test_a_worker_that_is_still_collecting_is_dealt_nothing() -> None:
    scheduling: Any = ChainScheduling.__new__(ChainScheduling)
    ready, collecting = Node(), Node()  # in place of two that died
    scheduling.log = lambda *_: None
    scheduling.numnodes = 1
    scheduling.collection = IDS
    scheduling.workqueue = OrderedDict({"a.eac.yaml::eac-s0": {IDS[3]: False}})
    scheduling.assigned_work = {collecting: {}, ready: {}}
    scheduling.registered_collections = {ready: IDS}
    scheduling.schedule()
    assert (ready.sent, collecting.sent) == ([[IDS[3]]], [])


def test_comparisons_are_dealt_out_after_all_chains_and_other_tests() -> None:
    scheduling: Any = ChainScheduling.__new__(ChainScheduling)
    node = Node()
    scheduling.workqueue = OrderedDict()
    scheduling.assigned_work = {}
    scheduling.registered_collections = {node: IDS}
    for nodeid in IDS:
        scope = scheduling._split_scope(nodeid)
        scheduling.workqueue.setdefault(scope, {})[nodeid] = False
    while scheduling.workqueue:
        scheduling._assign_work_unit(node)
    assert node.sent == [[IDS[1], IDS[2]], [IDS[3]], [IDS[5]], [IDS[0]], [IDS[4]]]

"""A suite that any editing method can be held to, its own author's first of all.

    pytest --pyargs pytest_eac.conformance --eac-method=NAME

Each test of ``test_method.py`` is a promise that a sequence of edits, and whoever measures it,
relies on. Without ``--eac-method`` all known methods are tried; without ``--eac-model`` on a tiny
model of random weights. docs/extend.md shows how a method is written and registered.
"""

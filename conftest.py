"""Configuration shared by everything that pytest runs in this repository."""

pytest_plugins = ["pytester", "tests.machine"]

"""Fixtures of the conformance suite."""
from conftest import pytest_configure, run  # noqa: F401 (of the end-to-end tests)

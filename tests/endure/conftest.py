"""Fixtures of the end-to-end tests."""
from conftest import pytest_configure, run  # noqa: F401

"""Compares what a test run proves with what the pages say; ``make prove`` writes it there."""

from tests.proving import (
    pytest_addoption,
    pytest_runtest_logreport,
    pytest_sessionfinish,
    pytest_terminal_summary,
)

__all__ = [
    "pytest_addoption",
    "pytest_runtest_logreport",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]

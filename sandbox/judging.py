"""Judges what a stack's stores hold, and can do so again: tests judge it with a fault in it."""

from __future__ import annotations

import io
from collections import Counter
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from .report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .driver import Driver

    Found = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Judgement:
    """What was found in stores, and what judges it.

    Attributes:
        drive: The driver of the scenario.
        verdict: Called with a driver and what was found: checks it, books it, and reads nothing.
        found: The records of each store: documents or bytes.
        order: The fields of a document that name its group and tell its turn in it. Default:
            the pattern promises no order.
        at_least_once: Whether a record that is there twice is no fault.
    """

    drive: Driver
    verdict: Callable[..., object]
    found: Found
    order: tuple[str, str] | None = None
    at_least_once: bool = False


def again(judgements: Sequence[Judgement]) -> Report:
    """Judge what was found in one scenario, in this order, and return a report of that alone."""
    report = Report(Console(file=io.StringIO()))
    ledger = copy(judgements[0].drive.ledger)
    ledger.processed, ledger.dead_lettered, ledger.out_of_order = Counter(), Counter(), Counter()
    report.ledger = ledger
    for judgement in judgements:
        judgement.verdict(judgement.drive.reporting_to(report), **judgement.found)
    report.close()
    return report

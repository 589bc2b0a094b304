"""The summary of a batch."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ..foundation.reporting import logger
from . import logic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..foundation.outcomes import Outcome


def log_summary(outcomes: Mapping[str, Outcome]) -> None:
    """Log one line for the batch."""
    failures = Counter(outcome.reason for outcome in outcomes.values() if outcome.kind == "failed")
    log = logger.error if failures else logger.info
    log("Batch", outcomes=logic.counts(outcomes.values()), failures=dict(failures))

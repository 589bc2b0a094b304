"""Reads functions' logs through the API, for scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from .target import Deployment


def lines_since(stack: Deployment, function_name: str, since: datetime) -> list[str]:
    """Return every line that a function has logged since a moment, oldest first."""
    found = stack.client("lambda").get_function_configuration(FunctionName=function_name)
    group, start = found["LoggingConfig"]["LogGroup"], int(since.timestamp() * 1000)
    pages = stack.client("logs").get_paginator("filter_log_events")
    return [
        event["message"]
        for page in pages.paginate(logGroupName=group, startTime=start)
        for event in page["events"]
    ]

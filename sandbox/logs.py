"""Reads functions' logs through the API, for scenarios."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from datetime import datetime

    from .target import Deployment

# What Lambda itself writes around an invocation's lines.
FRAME = re.compile(r"(START|END|REPORT|INIT_START) ")
# CloudWatch Logs API reference, FilterLogEvents: at most so many events in one answer.
EVENTS_OF_A_PAGE = 10_000


def lines_since(stack: Deployment, function_name: str, since: datetime | None = None) -> list[str]:
    """Return every line that a function has logged since a moment, oldest first."""
    return [event["message"].rstrip("\n") for event in events_since(stack, function_name, since)]


def events_since(
    stack: Deployment, function_name: str, since: datetime | None = None
) -> list[dict[str, Any]]:
    """Return every event of a function's log since a moment, oldest first."""
    function = stack.client("lambda").get_function_configuration(FunctionName=function_name)
    group = function.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{function_name}")
    logs, start = stack.client("logs"), int(since.timestamp() * 1000) if since else 0
    try:
        return _events(logs, group, start)
    except logs.exceptions.ResourceNotFoundException:
        return []


def newest_lines(stack: Deployment, count: int = 3) -> list[str]:
    """Return the newest lines that each function of a stack has logged, its name before each."""
    try:
        return [
            f"  {function} logged: {line}"
            for function, name in stack.functions.items()
            for line in lines_since(stack, name)[-count:]
        ]
    except ClientError:
        return []


def _events(logs: Any, group: str, start: int) -> list[dict[str, Any]]:
    """All events of a log group since a time in milliseconds, oldest first."""
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=start)
    events = sorted(
        (event for page in pages for event in page["events"]), key=lambda event: event["timestamp"]
    )
    # The embedded AWS ends at the most events of a page, without a token for the next one.
    if len(events) < EVENTS_OF_A_PAGE or (newest := events[-1]["timestamp"]) == start:
        return events
    return [event for event in events if event["timestamp"] < newest] + _events(logs, group, newest)

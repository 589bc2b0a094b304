"""What is a valid click, who is a bot, and what the lake keeps of a click.

Pure: no AWS and no environment.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from ..foundation import checks, kpl, strict_json
from ..foundation.outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IDS = ("click_id", "user_id", "session_id")
TEXTS = ("clicked_at", "page", "referrer", "user_agent", "country")
CSV_FIELDS = (*IDS, *TEXTS)  # in the order of the trackers that send lines of CSV
MAX_EVENT_BYTES = 64 * 1024
MAX_TEXT = 2048
# A device's clock may be a little ahead; clicks that it kept while offline may be a month old.
MAX_AHEAD = timedelta(hours=1)
MAX_OLD = timedelta(days=31)

_COUNTRY = re.compile(r"[A-Z]{2}")
_SKU = re.compile(r"/parts/(?:[a-z0-9-]+/)*([A-Z0-9][A-Z0-9-]{1,31})/?")
_QUERY = re.compile(r"[?#]")
_BOT = re.compile(
    r"bot\b|crawl|spider|slurp|curl/|wget/|python-requests|headless|lighthouse|monitor",
    re.IGNORECASE,
)
_DEVICES = {
    "tablet": re.compile(r"ipad|tablet|android(?!.*mobile)", re.IGNORECASE),
    "phone": re.compile(r"mobile|iphone|android", re.IGNORECASE),
}


@dataclass(frozen=True)
class Outcome:
    """What becomes of a record.

    Args:
        kind: Firehose's own word for it.
        data: The lines that go into the lake.
        keys: Values of the partition keys; empty without any.
        reason: Short code of why it was dropped or failed.
        detail: Plain sentence of the same.
        dropped: Events in it that were dropped, also when others of it were kept.
        kept: Events in it that go into the lake.
    """

    kind: Literal["Ok", "Dropped", "ProcessingFailed"]
    data: bytes = b""
    keys: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""
    dropped: int = 0
    kept: int = 0


def failed(reason: str, detail: str) -> Outcome:
    """Return the outcome of a record that Firehose stores under the error prefix."""
    return Outcome("ProcessingFailed", reason=reason, detail=detail)


def transform(data: bytes, arrived_at: datetime, partition_keys: Sequence[str] = ()) -> Outcome:
    """Return what becomes of a record: cleaned, dropped by rule, or failed with its reason.

    On AWS a record is one event, because Firehose takes aggregated records apart before. One that
    still is aggregated is treated as a whole: it goes into the lake only if every event in it is a
    click or dropped, so that none is lost.

    Args:
        data: As it was sent.
        arrived_at: When the stream accepted it.
        partition_keys: Names of the lake's columns whose values the path needs.
    """
    try:
        clicks = [read(event, arrived_at) for event in kpl.split(data)]
    except kpl.BrokenAggregateError:
        return failed("aggregate", "The aggregated record is broken.")
    except RefusedError as error:
        return failed(error.reason, error.detail)
    kept = [enrich(click) for click in clicks if not is_bot(click)]
    dropped = len(clicks) - len(kept)
    if not kept:
        return Outcome("Dropped", reason="bot", dropped=dropped)
    keys, *others = [{name: str(row[name]) for name in partition_keys} for row in kept]
    if any(other != keys for other in others):
        return failed("aggregate", "The clicks go to several folders.")
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in kept]
    return Outcome("Ok", "".join(lines).encode(), keys, dropped=dropped, kept=len(kept))


def why_it_would_fail(event: bytes) -> str:
    """Return why a click would fail now, to redrive the others: ``--would-fail`` of the command."""
    outcome = transform(event, datetime.now(UTC))
    return outcome.reason if outcome.kind == "ProcessingFailed" else ""


def read(event: bytes, arrived_at: datetime) -> dict[str, Any]:
    """Return the click in an event, JSON or a line of CSV.

    Raises:
        RefusedError: it is not a valid click.
    """
    if len(event) > MAX_EVENT_BYTES:
        raise RefusedError("too_large", f"A click has at most {MAX_EVENT_BYTES} bytes.")
    try:
        text = event.decode().strip()
    except UnicodeDecodeError:
        raise RefusedError("not_text", "The record is not UTF-8.") from None
    if not text:
        raise RefusedError("empty", "The record is empty.")
    click = _from_json(text) if text[0] in "{[" else _from_csv(text)
    for name in IDS:
        checks.identifier(click[name], name)
    for name in TEXTS:
        if click[name] != "":
            checks.text(click[name], name, MAX_TEXT)
    if not _COUNTRY.fullmatch(click["country"]):
        raise RefusedError("field", "country must be two capital letters.")
    if not click["page"].startswith("/"):
        raise RefusedError("field", "page must be a path.")
    return click | {"clicked_at": _time(click["clicked_at"], arrived_at)}


def is_bot(click: Mapping[str, Any]) -> bool:
    """Whether a program made the click: by its user agent, or because it has none."""
    agent = click["user_agent"]
    return not agent or bool(_BOT.search(agent))


def enrich(click: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of the lake: nothing of the query strings, which may name a person."""
    page, agent = _QUERY.split(click["page"], maxsplit=1)[0], click["user_agent"]
    part = _SKU.fullmatch(page)
    return {
        **{name: click[name] for name in IDS},
        # The one form that Firehose's JSON reader and Athena both read as a timestamp.
        "clicked_at": click["clicked_at"].strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
        "page": page,
        "sku": part[1] if part else None,
        "referrer_host": _host(click["referrer"]),
        "device": next((kind for kind, it in _DEVICES.items() if it.search(agent)), "desktop"),
        "country": click["country"],
        "source": click["source"],
    }


def _from_json(text: str) -> dict[str, Any]:
    try:
        click = json.loads(text)  # not strict: a field that is not of the table may be anything
    except (ValueError, RecursionError):
        raise RefusedError("not_json", "The record is not one JSON document.") from None
    if not isinstance(click, dict):
        raise RefusedError("not_json", "The JSON document is not an object.")
    fields = {name: click.get(name, "") for name in CSV_FIELDS}
    strict_json.encode(fields)
    return fields | {"source": "json"}


def _from_csv(text: str) -> dict[str, Any]:
    try:
        [values] = csv.reader([text], strict=True)
        return dict(zip(CSV_FIELDS, values, strict=True)) | {"source": "csv"}
    except (csv.Error, ValueError):
        detail = f"The record is neither JSON nor a line of CSV with {len(CSV_FIELDS)} fields."
        raise RefusedError("not_csv", detail) from None


def _time(text: str, arrived_at: datetime) -> datetime:
    try:
        clicked_at = datetime.fromisoformat(text)
        if clicked_at.tzinfo is None:
            raise RefusedError("time", "clicked_at has no time zone.")
        clicked_at = clicked_at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise RefusedError("time", "clicked_at is not a time in ISO 8601.") from None
    if not arrived_at - MAX_OLD <= clicked_at <= arrived_at + MAX_AHEAD:
        raise RefusedError("time", "clicked_at is in the future, or more than 31 days old.")
    return clicked_at


def _host(referrer: str) -> str | None:
    try:
        host = urlsplit(referrer).hostname
    except ValueError:
        return None
    return host if host and len(host) <= 253 else None

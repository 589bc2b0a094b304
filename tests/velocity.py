"""API Gateway's mapping templates, rendered by a Velocity engine, and where a template has them.

What ``$input``, ``$util`` and ``$context`` are is ours, after AWS's page:
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
The engine is airspeed, with three patterns as Apache Velocity 1.7 has them: names with hyphens,
and strings without escapes. A reference to nothing prints itself, unless it is quiet (``$!``).
"""

from __future__ import annotations

import base64
import functools
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote_plus, unquote_plus

import airspeed

from tests.inline import text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NEVER = re.compile("(?!)")
airspeed.StringLiteral.ESCAPED_CHAR = _NEVER
airspeed.InterpolatedStringLiteral.ESCAPED_CHAR = _NEVER
airspeed.NameOrCall.NAME = re.compile(r"([a-z][\w-]*)", re.IGNORECASE)
airspeed.SetDirective.PLACE = re.compile(r"\s*\$([a-z][\w-]*(?:\.[a-z][\w-]*)*)", re.IGNORECASE)
_compiled = functools.cache(airspeed.Template)

HOSTILE = (
    "&Action=PurgeQueue&MessageGroupId=other",
    "%26Action%3DPurgeQueue+%00",
    '", "input": "{}", "x": "',
    "it's",
    "\\",
    "\\\\'",
    "\\'",
    "\\u0022",
    "$input.body #set($x = 1)$x ${util} #end ## #* #[[",
    "$!{context.requestId}",
    "two\r\nlines\t\x00\x7f\u2028",
    "Größe 😀 /~*",
    "<b>&amp;</b>",
    "null",
    "",
)
# Where each part of a request is named in a template.
PARTS = {
    "header": r"header\.get\('([^']+)'\)",
    "querystring": r"querystring\.get\('([^']+)'\)",
    "path": r"\$!?input\.params\('([^']+)'\)",
}
CONTEXT = r"\$!?context\.([a-zA-Z.]*\w)(?:\['([^']+)'\])?"
FIELD = r"\$!?input\.path\('\$\.([\w.]+)'\)"

# As Apache Commons Lang 2.6, by which Velocity's users escape.
_ESCAPES = {"\b": "b", "\n": "n", "\t": "t", "\f": "f", "\r": "r"} | {c: c for c in "\"'\\/"}


@dataclass(frozen=True)
class Sent:
    """What a template is given: a request of a client, or a service's answer to one.

    Attributes:
        body: The body, or the service's answer.
        header: The request's headers; so are ``querystring`` and ``path``.
        context: Variables of ``$context``, by their names with dots.
    """

    body: str = ""
    header: Mapping[str, str] = field(default_factory=dict)
    querystring: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rendered:
    """What a template makes: a text, and the status and the headers that it sets."""

    text: str
    status: int | None
    headers: Mapping[str, str]


class _Input:
    def __init__(self, sent: Sent) -> None:
        self.body = sent.body
        self._parts = {
            name: dict(getattr(sent, name)) for name in ("path", "querystring", "header")
        }

    def params(self, name: str | None = None) -> Any:
        if name is None:
            return self._parts
        return next((part[name] for part in self._parts.values() if name in part), None)

    def path(self, expression: str) -> Any:
        if not re.fullmatch(r"\$(\.\w+)*", expression):
            raise NotImplementedError(f"JSONPath {expression}")
        found = json.loads(self.body or "{}")
        for name in expression.split(".")[1:]:
            found = found.get(name) if isinstance(found, dict) else None
        return str(found).lower() if isinstance(found, bool) else found

    def json(self, expression: str) -> str:
        return json.dumps(self.path(expression))


class _Util:
    @staticmethod
    def escapeJavaScript(value: Any) -> str | None:  # noqa: N802 - API Gateway's name
        return None if value is None else "".join(map(_escape, str(value)))

    @staticmethod
    def urlEncode(value: Any) -> str | None:  # noqa: N802 - API Gateway's name
        return None if value is None else quote_plus(str(value), safe="*").replace("~", "%7E")

    urlDecode = staticmethod(unquote_plus)  # noqa: N815 - API Gateway's name
    parseJson = staticmethod(json.loads)  # noqa: N815 - API Gateway's name

    @staticmethod
    def base64Encode(value: str) -> str:  # noqa: N802 - API Gateway's name
        return base64.b64encode(value.encode()).decode()

    @staticmethod
    def base64Decode(value: str) -> str:  # noqa: N802 - API Gateway's name
        return base64.b64decode(value).decode()


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return f"\\{_ESCAPES[character]}"
    if " " <= character <= "~":
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex().upper()}" for at in range(0, len(units), 2))


def render(template: str, sent: Sent) -> Rendered:
    """Render a mapping template as API Gateway does."""
    override: dict[str, Any] = {"header": {}}
    context: dict[str, Any] = {"responseOverride": override}
    for name, value in sent.context.items():
        *outer, last = name.split(".")
        functools.reduce(lambda at, one: at.setdefault(one, {}), outer, context)[last] = value
    given = {"input": _Input(sent), "util": _Util, "context": context}
    return Rendered(_compiled(template).merge(given), override.get("status"), override["header"])


@dataclass(frozen=True)
class Method:
    """A method of an API that calls a service.

    Attributes:
        name: Its logical id.
        requests: The request templates, by content type.
        answers: Status, selection pattern and template of each answer.
        statuses: The statuses that it declares.
        calls: The URI of what it calls.
    """

    name: str
    requests: Mapping[str, str]
    answers: tuple[tuple[int, str | None, str], ...]
    statuses: frozenset[int]
    calls: str

    def answer(self, of_service: int, body: Any, sent: Sent = Sent()) -> tuple[int, Any, Rendered]:
        """Return status, body and rendering of what a client gets for a service's answer."""
        matching = [one for one in self.answers if one[1] == str(of_service)]
        status, _, template = (matching or [one for one in self.answers if one[1] is None])[0]
        given = body if isinstance(body, str) else json.dumps(body)
        context = {"requestId": "its-id", **sent.context}
        rendered = render(template, Sent(given, header=sent.header, context=context))
        return rendered.status or status, json.loads(rendered.text), rendered


def methods(template: Mapping[str, Any]) -> Iterator[Method]:
    """Yield the methods of a CloudFormation template that call a service."""
    for name, resource in template["Resources"].items():
        integration = resource.get("Properties", {}).get("Integration", {})
        if resource["Type"] == "AWS::ApiGateway::Method" and integration.get("Type") == "AWS":
            answers = tuple(
                (int(one["StatusCode"]), one.get("SelectionPattern"), template)
                for one in integration["IntegrationResponses"]
                for template in one["ResponseTemplates"].values()
            )
            yield Method(
                name,
                {kind: text(one) for kind, one in integration["RequestTemplates"].items()},
                answers,
                frozenset(
                    int(one["StatusCode"]) for one in resource["Properties"]["MethodResponses"]
                ),
                text(integration["Uri"]),
            )


def everything(value: str, template: str, *, lower: bool = False) -> Sent:
    """Send a value in each part of a request that a template names, marked with the part's name."""

    def marked(part: str) -> dict[str, str]:
        names = re.findall(PARTS[part], template)
        spelt = {name for name in names if (name == name.lower()) == (lower or part != "header")}
        return {name: f"{part} {name.lower()} {value}" for name in spelt or names[:1]}

    body: dict[str, Any] = {"note": value}
    for name in re.findall(FIELD, template):
        *outer, last = name.split(".")
        place = body
        for one in outer:
            place = place.setdefault(one, {})
        place[last] = f"body {name} {value}"
    names = {".".join(filter(None, found)) for found in re.findall(CONTEXT, template)}
    context = {name: f"context {name} {value}" for name in names}
    known = {"requestTimeEpoch": "1764190000000", "requestId": "its-id"}
    context |= {name: one for name, one in known.items() if name in names}
    parts = {part: marked(part) for part in PARTS}
    return Sent(json.dumps(body, ensure_ascii=False), context=context, **parts)


def read(text: str) -> dict[str, str]:
    """Read a call as the service does: a form for SQS, else JSON; no parameter twice."""
    pairs = (
        json.loads(text, object_pairs_hook=list)
        if text.startswith("{")
        else parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    )
    read = dict(pairs)
    assert len(read) == len(pairs)
    return read


def assert_arrives(template: str, value: str, *, lower: bool = False) -> None:
    """Assert that a value changes nothing but the parameters in which it is sent."""
    plain = everything("PLAIN", template, lower=lower)
    hostile = everything(value, template, lower=lower)
    expected = {
        name: hostile.body if one == plain.body else one.replace("PLAIN", value)
        for name, one in read(render(template, plain).text).items()
    }
    assert read(render(template, hostile).text) == expected

"""Whatever a client or a service sends, a mapping template passes it on and nothing else.

Each template runs in a Velocity engine; its output is read as the service reads it.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk.assertions import Template
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_patterns.patterns.blocks.endpoints import Endpoint, NewApi
from tests.contracts.builds import Build, builds, every_build, resources_of, template_of
from tests.velocity import (
    CONTEXT,
    FIELD,
    HOSTILE,
    Method,
    Sent,
    assert_arrives,
    everything,
    methods,
    read,
    render,
)

# What a service alone writes into its answers: none of it needs escaping.
OF_SERVICE = {
    "Error.Code",
    "SendMessageResponse.SendMessageResult.MessageId",
    "__type",
    "executionArn",
    "name",
    "output",
    "startDate",
    "status",
}
# The service's error codes that a client can fix, by what is called: all others are ours.
FAULTS = {
    "sqs:path": {
        "InvalidMessageContents": 422,
        "InvalidParameterValue": 422,
        "MissingParameter": 422,
    },
    "states:action/Start": {
        "InvalidExecutionInput": 422,
        "InvalidName": 422,
        "ValidationException": 422,
        "ExecutionAlreadyExists": 409,
    },
    "states:action/Describe": {
        "ExecutionDoesNotExist": 404,
        "InvalidArn": 404,
        "ValidationException": 404,
    },
}
# What API Gateway alone says of a request: an identifier, a time, a number, or a word of its own.
OF_GATEWAY = (
    "error.responseType",
    "httpMethod",
    "integrationLatency",
    "integrationStatus",
    "requestId",
    "requestTime",
    "resourcePath",
    "responseLatency",
    "status",
    "xrayTraceId",
)
TOKEN = "Bearer of-a-customer"
OURS = ("AccessDenied", "ThrottlingException", "KMSAccessDeniedException", "QueueDoesNotExist", "")
ORIGINS = ["https://shop.example", "https://desk.example"]


@cache
def of_build(build: Build, cors: bool = False) -> tuple[Method, ...]:
    if not cors:
        return tuple(methods(template_of(build)))
    stack = Stack(App(), "Stack")
    endpoint = Endpoint(api=NewApi(cors=apigateway.CorsOptions(allow_origins=ORIGINS)))
    build.make(stack, "Pattern", endpoint=endpoint)
    return tuple(methods(Template.from_stack(stack).to_json()))


def test_what_a_client_sends_arrives_unchanged_and_adds_no_parameter(
    template: dict[str, Any],
) -> None:
    for method in methods(template):
        for request in method.requests.values():
            for value in HOSTILE:
                assert_arrives(request, value)
                assert_arrives(request, value, lower=True)


@given(value=st.text())
@settings(max_examples=40)
def test_no_text_of_a_client_changes_the_call_of_any_construct(value: str) -> None:
    for build in builds("mapping"):
        for method in of_build(build):
            for request in method.requests.values():
                assert_arrives(request, value)


@every_build("mapping")
def test_the_body_is_in_the_call_byte_for_byte_whatever_it_is(build: Build) -> None:
    for method in of_build(build):
        for request in method.requests.values():
            if "$!input.body" not in request:
                continue
            sent = everything("PLAIN", request)
            bodies = [f" {sent.body}\r\n", json.dumps({**json.loads(sent.body), "é": "'\\ü"})]
            if "any body" in build.takes:
                bodies += ["", "{", "<a b='c'/>", *HOSTILE]
            for body in bodies:
                call = read(render(request, replace(sent, body=body)).text)
                assert body in call.values(), method.name


@every_build("mapping")
def test_a_value_that_is_missing_is_empty_and_never_its_own_name(build: Build) -> None:
    for method in of_build(build):
        for request in method.requests.values():
            given = everything("PLAIN", request)
            known = {name: one for name, one in given.context.items() if "." not in name}
            call = read(render(request, Sent("{}", context=known)).text)
            assert "$" not in "".join(call.values()), method.name


def expected_faults(method: Method) -> dict[str, int]:
    (found,) = (codes for called, codes in FAULTS.items() if called in method.calls)
    return found


def error(method: Method, code: str, message: str) -> dict[str, Any]:
    """Return an error as SQS and as services with a JSON protocol word it."""
    if "sqs:path" in method.calls:
        return {"Error": {"Code": code, "Message": message, "Type": "Sender"}, "RequestId": "r"}
    return {"__type": f"com.amazonaws.swf.service.v2.model#{code}", "message": message}


@every_build("mapping")
@pytest.mark.parametrize("cors", [False, True], ids=["", "cors"])
def test_a_refusal_tells_the_clients_faults_from_ours_whatever_the_service_says(
    build: Build, cors: bool
) -> None:
    for method in of_build(build, cors):
        faults = expected_faults(method)
        for code, expected in {**faults, **dict.fromkeys(OURS, 503)}.items():
            for message in HOSTILE if code == OURS[0] else HOSTILE[:1]:
                status, body, _ = method.answer(400, error(method, code, message))
                assert (status, body["reason"]) == (expected, code), method.name
                assert body["requestId"] == "its-id"
                assert status in method.statuses
                assert body.get("detail", message) == message


@every_build("mapping")
def test_an_answer_that_nobody_expects_is_a_502_or_a_503_and_json(build: Build) -> None:
    for method in of_build(build):
        for status in (201, 301, 403, 404, 500, 503):
            answer, body, _ = method.answer(status, '<html>it\'s "down"</html>')
            assert answer == 502
            assert body.keys() == {"message", "requestId"}
        assert method.answer(400, "{}")[0] == 503


@every_build("mapping")
@pytest.mark.parametrize("cors", [False, True], ids=["", "cors"])
def test_an_accepted_request_is_answered_with_what_the_service_said(
    build: Build, cors: bool
) -> None:
    for method in of_build(build, cors):
        if "sqs:path" in method.calls:
            said = {"SendMessageResponse": {"SendMessageResult": {"MessageId": "m-1"}}}
            expected = {"messageId": "m-1", "requestId": "its-id"}
            assert method.answer(200, said)[:2] == (202, expected)
            continue
        for error_name in HOSTILE:
            told = {"executionArn": "arn:e", "startDate": 1.5, "name": "n", "status": "FAILED"}
            told |= {"error": error_name, "cause": 'it\'s a "cause"', "input": "secret"}
            status, body, _ = method.answer(200, told)
            assert "secret" not in json.dumps(body)
            assert body.get("error", error_name) == error_name
            assert status == (502 if "StartSync" in method.calls else min(method.statuses))


@every_build("mapping")
def test_the_output_of_an_execution_is_the_clients_answer_and_null_until_it_ends(
    build: Build,
) -> None:
    for method in of_build(build):
        if "Describe" not in method.calls and "StartSync" not in method.calls:
            continue
        for output in ({"text": 'it\'s "so" \\ ü $input.body #end'}, [1, None], "", "a", 0, None):
            said = {"status": "SUCCEEDED", "name": "n", "output": json.dumps(output)}
            status, body, _ = method.answer(200, said)
            assert (status, body["status"], body["output"]) == (200, "SUCCEEDED", output)
        for running in ({"output": ""}, {}, {"output": None}):
            body = method.answer(200, {"status": "RUNNING", "name": "n", **running})[1]
            assert body["output"] is None


@every_build("mapping")
def test_an_answer_names_the_callers_own_origin_and_no_other(build: Build) -> None:
    for method in of_build(build, cors=True):
        for spelling in ("Origin", "origin"):
            for origin in (*ORIGINS, "https://evil.example", "https://shop.example.evil.example"):
                sent = Sent(header={spelling: origin})
                for of_service in (200, 400, 500):
                    rendered = method.answer(of_service, error(method, "X", "y"), sent)[2]
                    named = rendered.headers.get("Access-Control-Allow-Origin")
                    assert named == (origin if origin in ORIGINS else None)


def test_a_pattern_has_no_answer_but_those_that_are_tested_here(template: dict[str, Any]) -> None:
    tested = {
        answer
        for build in builds("mapping")
        for cors in (False, True)
        for method in of_build(build, cors)
        for answer in method.answers
    }
    for method in methods(template):
        assert {*method.answers} <= tested, method.name


@every_build("mapping")
def test_a_value_that_is_no_text_arrives_as_json_writes_it(build: Build) -> None:
    for method in of_build(build):
        for request in method.requests.values():
            for value in (17, 1.5, True, "null"):
                sent = everything("PLAIN", request)
                body = re.sub('"body [^"]*"', json.dumps(value), sent.body)
                call = read(render(request, replace(sent, body=body)).text)
                fields = re.findall(FIELD, request)
                assert not fields or json.dumps(value).strip('"') in call.values(), method.name


def test_only_what_the_service_alone_writes_is_in_an_answer_unescaped(
    template: dict[str, Any],
) -> None:
    for method in methods(template):
        for _, _, answer in method.answers:
            escaped = r"\$!?util\.escapeJavaScript\(\$!?input\.path\('[^']+'\)\)"
            assert set(re.findall(FIELD, re.sub(escaped, "", answer))) <= OF_SERVICE
            assert "$input.body" not in answer
            assert "$input.json" not in answer


@pytest.mark.parametrize("value", HOSTILE)
def test_the_engine_escapes_so_that_json_and_forms_give_the_text_back(value: str) -> None:
    """``escapeJavaScript`` also escapes ', which JSON does not know."""
    body = json.dumps({"v": value})
    escaped = render("\"$util.escapeJavaScript($input.path('$.v'))\"", Sent(body))
    assert json.loads(escaped.text.replace("\\'", "'")) == value
    form = render("v=$util.urlEncode($input.path('$.v'))", Sent(body))
    assert parse_qsl(form.text, keep_blank_values=True) == [("v", value)]


@pytest.mark.parametrize(
    ("template", "text", "status"),
    [
        ("$none $!none ${none} $!{none}.", "$none  ${none} .", None),
        ("#set($a = $input.path('$.none'))[$a][$!a]", "[$a][]", None),
        ("$input.params().header.get('h')", "$input.params().header.get('h')", None),
        ('#set($a = "x\\ny")$a', "x\\ny", None),
        ('$util.escapeJavaScript($input.path("$.a")).replaceAll("\\\\\'", "\'")', "it's", None),
        ('#set($s = " a b ")#if($s.contains(" b ") && $s != "")1#{else}2#end', "1", None),
        ("#if($input.path('$.none') && $x != \"\")a#{else}b#end", "b", None),
        (
            '"#if($input.path("$.a") != "")#set($context.responseOverride.status = 409)#end"',
            '""',
            409,
        ),
        (
            "#set($context.responseOverride.header.A-B = 1)$context.responseOverride.header.A-B",
            "1",
            None,
        ),
    ],
)
def test_the_engine_renders_as_apache_velocity_does(
    template: str, text: str, status: int | None
) -> None:
    """The texts are those of Apache Velocity 1.7, whose language API Gateway's templates have."""
    rendered = render(template, Sent('{"a": "it\'s"}'))
    assert (rendered.text, rendered.status) == (text, status)


@every_build("endpoint")
def test_no_access_log_quotes_what_a_client_sent(build: Build) -> None:
    """A request has one line of JSON, whatever API Gateway says of it.

    An error's message quotes the client: the validator's the body, IAM's the whole Authorization.
    """
    for stage in resources_of(build, "ApiGateway::Stage"):
        form = stage["AccessLogSetting"]["Format"]
        for quoted in (*HOSTILE, f"'token' is not a valid key=value pair: '{TOKEN}'"):
            said = {".".join(filter(None, found)): quoted for found in re.findall(CONTEXT, form)}
            line = render(form, Sent(context=said | dict.fromkeys(OF_GATEWAY, "-"))).text
            assert json.loads(line).keys() == json.loads(form).keys()
            assert "\n" not in line
            assert TOKEN not in line
        assert "$context.requestId" in json.loads(form).values()

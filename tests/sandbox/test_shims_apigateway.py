"""Each shim has its gap without it (if not: upstream closed it, remove the shim) and closes it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.sandbox.helpers import create_stack, on, ref, resource, template

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Answer, Target

KNOWN = """{
  "accountId": "$context.accountId", "apiId": "$context.apiId", "stage": "$context.stage",
  "httpMethod": "$context.httpMethod", "path": "$context.path",
  "resourcePath": "$context.resourcePath", "requestId": "$context.requestId",
  "extendedRequestId": "$context.extendedRequestId", "time": "$context.requestTimeEpoch",
  "sourceIp": "$context.identity.sourceIp", "trace": "$context.xrayTraceId",
  "header": "$!input.params().header.get('x-id')",
  "query": "$!input.params().querystring.get('x-id')"}"""
REFUSED = """{"code": "$input.path('$.Error.Code')", "text": "$input.path('$.Error.Message')",
  "type": "$input.path('$.Error.Type')", "id": "$input.path('$.RequestId')"}"""
SEND = "Action=SendMessage&MessageBody=$util.urlEncode($input.body)&MessageAttribute.1.Name=Id\
&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=i$context.requestId"
URI = "arn:aws:apigateway:us-east-1:sqs:path/${AWS::AccountId}/${Queue.QueueName}"
URL = "https://${Api}.execute-api.us-east-1.amazonaws.com/prod/"
API = {"RestApiId": ref("Api")}


CORS = template(
    {
        "Http": resource(
            "ApiGatewayV2::Api",
            Name="cors",
            ProtocolType="HTTP",
            CorsConfiguration={"AllowOrigins": ["https://shop.example"], "MaxAge": 60},
        )
    },
    Id=ref("Http"),
)


def test_cors_settings_of_a_template_are_the_http_apis(
    shared: Target, without_shims: Target
) -> None:
    found = []
    for target in (without_shims, shared):
        api = create_stack(target, "http-cors", CORS)["Id"]
        found.append(target.client("apigatewayv2").get_api(ApiId=api).get("CorsConfiguration"))
    plain, shimmed = found
    assert not plain, "upstream keeps them now: remove the shim"
    assert shimmed == {"AllowOrigins": ["https://shop.example"], "MaxAge": 60}


def answers(status: str, made: str, **selection: str) -> dict[str, Any]:
    return {"StatusCode": status, "ResponseTemplates": {"application/json": made}, **selection}


def method(path: str, request: str, **properties: Any) -> dict[str, Any]:
    """A POST method that sends to the queue, and answers with what it knows, or what SQS said."""
    integration = {
        "Type": "AWS",
        "IntegrationHttpMethod": "POST",
        "Uri": {"Fn::Sub": URI},
        "RequestTemplates": {"application/json": request},
        "IntegrationResponses": [
            answers("202", KNOWN),
            answers("400", REFUSED, SelectionPattern=r"4\d\d"),
        ],
    }
    return resource(
        "ApiGateway::Method",
        **API,
        ResourceId=ref(path),
        HttpMethod="POST",
        AuthorizationType="NONE",
        Integration=integration,
        MethodResponses=[{"StatusCode": "202"}, {"StatusCode": "400"}],
        **properties,
    )


def path(name: str) -> dict[str, Any]:
    root = {"Fn::GetAtt": ["Api", "RootResourceId"]}
    return resource("ApiGateway::Resource", **API, ParentId=root, PathPart=name)


STACK = template(
    {
        "Queue": resource("SQS::Queue"),
        "Api": resource("ApiGateway::RestApi", Name="shims"),
        "Orders": path("orders"),
        "PostOrder": method("Orders", SEND),
        "Broken": path("broken"),
        "PostBroken": method("Broken", "Action=SendMessage&MessageBody="),
        "Strict": path("strict"),
        "PostStrict": method(
            "Strict",
            SEND,
            RequestValidatorId=ref("Validator"),
            RequestModels={"application/json": ref("Model")},
        ),
        "Validator": resource("ApiGateway::RequestValidator", **API, ValidateRequestBody=True),
        "Model": resource(
            "ApiGateway::Model",
            **API,
            ContentType="application/json",
            Name="Order",
            Schema={"type": "object", "required": ["order_id"]},
        ),
        "Deployment": resource("ApiGateway::Deployment", **API, StageName="prod")
        | {"DependsOn": ["PostOrder", "PostBroken", "PostStrict"]},
    },
    QueueUrl=ref("Queue"),
    ApiUrl={"Fn::Sub": URL},
)
TRACE = "1-5759e988-bd862e3fe1be46a994272793"


class Api:
    """The stack of these tests on one target."""

    def __init__(self, target: Target) -> None:
        self.stack = create_stack(target, "shims", STACK)

    def post(self, path: str, body: bytes = b"{}", headers: dict[str, str] | None = None) -> Answer:
        headers = {"Content-Type": "application/json", **(headers or {})}
        return self.stack.http.post(self.stack["ApiUrl"] + path, body, headers)


shimmed, plain = on("shared", Api), on("without_shims", Api)


def test_a_mapping_template_knows_its_request(plain: Api, shimmed: Api) -> None:
    gap = json.loads(plain.post("orders").body)
    assert set(gap.values()) == {""}, "upstream knows $context now: remove the shim"

    headers = {"X-Amzn-Trace-Id": f"Root={TRACE};Sampled=1", "X-Id": "of the header"}
    answer = shimmed.post("orders?x-id=other", headers=headers)
    known = json.loads(answer.body)
    assert known.pop("requestId") == answer.headers["x-amzn-requestid"] != ""
    assert known.pop("extendedRequestId")
    assert int(known.pop("time")) > 1_700_000_000_000
    assert known.pop("apiId") in shimmed.stack["ApiUrl"]
    assert known == {
        "accountId": "000000000000",
        "stage": "prod",
        "httpMethod": "POST",
        "path": "/prod/orders",
        "resourcePath": "/orders",
        "sourceIp": "127.0.0.1",
        "trace": TRACE,
        "header": "of the header",
        "query": "other",
    }


def test_the_request_template_knows_the_same_request(shimmed: Api) -> None:
    sqs, queue = shimmed.stack.client("sqs"), shimmed.stack["QueueUrl"]
    sqs.purge_queue(QueueUrl=queue)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: shimmed.post("orders"), range(50)))
    answered = {json.loads(answer.body)["requestId"] for answer in answers}
    stored = set()
    while messages := sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        stored |= {message["MessageAttributes"]["Id"]["StringValue"][1:] for message in messages}
    assert len(answered) == 50
    assert stored == answered


def test_without_a_trace_header_there_is_no_trace(shimmed: Api) -> None:
    assert json.loads(shimmed.post("orders").body)["trace"] == ""


def test_an_sqs_error_reaches_the_response_template_as_json(plain: Api, shimmed: Api) -> None:
    gap = json.loads(plain.post("broken").body)
    assert set(gap.values()) == {""}, "upstream gives JSON now: remove the shim"

    answer = shimmed.post("broken")
    error = json.loads(answer.body)
    assert answer.status == 400
    assert error["code"] == "MissingParameter"
    assert "MessageBody" in error["text"]
    assert error["type"] == "Sender"
    assert error["id"]


def test_a_request_validator_of_a_template_refuses_a_bad_body(plain: Api, shimmed: Api) -> None:
    assert plain.post("strict").status == 202, "upstream validates now: remove the shim"

    assert shimmed.post("strict", b'{"order_id": 1}').status == 202
    refused = shimmed.post("strict")
    assert refused.status == 400
    assert json.loads(refused.body) == {"message": "Invalid request body"}

"""The second embedded AWS: LocalStack, with our executor of functions and without the network."""

from __future__ import annotations

import base64
import json
import os
import time
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, WaiterError

from serverless_patterns.sandbox import Deployment, Keys, Target, embedded
from serverless_patterns.sandbox.queues import until
from serverless_patterns.sandbox.target import made_up_session
from tests.conftest import ROOT, run
from tests.sandbox.helpers import (
    allow,
    arn,
    create_stack,
    function,
    on,
    ref,
    resource,
    role,
    template,
)
from tests.sandbox.test_emulator import descendants, wait_until_gone

PYTHON = ROOT / ".venv-localstack" / "bin" / "python"
pytestmark = pytest.mark.skipif(
    not PYTHON.exists(),
    reason="no second embedded AWS, which needs Python 3.13: python3 tools/setup.py --localstack",
)
SHOP = """
import json, logging, os, sys, time
class OutOfStockError(Exception):
    pass
calls = 0
def handler(event, context):
    global calls
    calls += 1
    print("order", event.get("order"))
    do = event.get("do")
    if do == "raise":
        raise OutOfStockError("none left")
    if do == "sleep":
        time.sleep(60)
    if do == "exit":
        os._exit(7)
    if do == "set":
        return {1}
    if do == "warn":
        logging.getLogger().warning("careful")
    return {
        "calls": calls, "key": os.environ["AWS_ACCESS_KEY_ID"],
        "request": context.aws_request_id, "arn": context.invoked_function_arn,
        "left": context.get_remaining_time_in_millis(), "name": context.function_name,
        "environment": dict(os.environ),
    }
"""
PROBE = """
import socket
from engine.changes import stay_on_this_machine
stay_on_this_machine()
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for reach in (
    lambda: socket.create_connection(("example.com", 80), 1),
    lambda: socket.create_connection(("192.0.2.1", 80), 1),
    lambda: socket.socket().connect_ex(("192.0.2.1", 80)),
    lambda: datagrams.sendto(b"", ("192.0.2.1", 53)),
    lambda: socket.gethostbyname("s3.127.0.0.1"),
    lambda: socket.gethostbyname_ex("example.com"),
):
    try:
        reach()
    except OSError as error:
        print(error)
datagrams.sendto(b"", ("127.0.0.1", 9))
"""
METRICS = """
from engine import changes
changes.tell_metrics_apart()
helper = changes.localstack("services.cloudwatch.cloudwatch_database_helper")
print(*helper.sqlite3.connect(":memory:").execute("PRAGMA busy_timeout").fetchone())
"""
PATHS = """
from engine import changes
changes.parse_paths_once()
states = "services.stepfunctions.asl"
for user in (
    f"{states}.utils.json_path",
    f"{states}.component.common.path.result_path",
    "services.apigateway.next_gen.execute_api.template_mapping",
):
    parse = changes.localstack(user).parse
    path = parse("$.order.lines[0]")
    found = [match.value for match in path.find({"order": {"lines": [1, 2]}})]
    print(path is parse("$.order.lines[0]"), found)
"""
STATES = {
    "StartAt": "Reserve",
    "States": {
        "Reserve": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "${Shop}", "Payload": {"do": "raise"}},
            "Catch": [
                {"ErrorEquals": ["OtherError"], "Next": "Wrong"},
                {"ErrorEquals": ["OutOfStockError"], "Next": "Right"},
                {"ErrorEquals": ["States.ALL"], "Next": "Wrong"},
            ],
            "End": True,
        },
        "Right": {"Type": "Succeed"},
        "Wrong": {"Type": "Fail"},
    },
}


def _shop(target: Target) -> Deployment:
    of_shop = role("lambda.amazonaws.com", allow("logs:*", "*"))
    of_states = role("states.amazonaws.com", allow("lambda:InvokeFunction", "*"))
    machine = resource(
        "StepFunctions::StateMachine",
        DefinitionString=json.dumps(STATES),
        DefinitionSubstitutions={"Shop": ref("Shop")},
        RoleArn=arn("OfStates"),
    )
    made = {
        "OfShop": of_shop,
        "OfStates": of_states,
        "Shop": function(SHOP, Role=arn("OfShop"), Timeout=2),
        "Lost": function("import lost", Role=arn("OfShop")),
        "Nameless": function(SHOP, Role=arn("OfShop"), Handler="index.lost"),
        "Machine": machine,
    }
    outputs = {name: ref(name) for name in ("Shop", "Lost", "Nameless", "Machine")}
    return create_stack(target, "shop", template(made, **outputs))


shop = on("second", _shop)


def call(shop: Deployment, name: str = "Shop", **event: Any) -> tuple[dict[str, Any], str, bool]:
    """What a function answers, the tail of its log, and whether it failed."""
    answer = shop.client("lambda").invoke(
        FunctionName=shop[name], Payload=json.dumps(event), LogType="Tail"
    )
    log = base64.b64decode(answer["LogResult"]).decode()
    return json.loads(answer["Payload"].read()), log, "FunctionError" in answer


def test_it_listens_on_this_machine_only(second: Target) -> None:
    port = urlsplit(second.endpoint_url or "").port
    listing = run("ss", "-ltnH")
    if listing.returncode:
        pytest.skip("no ss")
    addresses = [line.split()[3] for line in listing.stdout.splitlines()]
    assert [one for one in addresses if one.endswith(f":{port}")] == [f"127.0.0.1:{port}"]


@pytest.mark.parametrize("access_key", ["test", "000000000000", "LKIAQAAAAAAAGMKEM7X5"])
def test_only_the_keys_of_the_run_are_accepted(second: Target, access_key: str) -> None:
    for service, list_them in (("sqs", "list_queues"), ("s3", "list_buckets")):
        with pytest.raises(ClientError, match=r"403|invalid"):
            getattr(client_of(Keys(access_key, "test"), second, service), list_them)()


def client_of(keys: Keys, target: Target, service: str) -> Any:
    """A client of somebody with these keys; this engine serves plain HTTP."""
    make: Any = made_up_session(keys).client
    return make(service, endpoint_url=target.endpoint_url)


@pytest.mark.parametrize("page", ["_localstack/health", "_localstack/init", "_aws/sqs/messages"])
def test_pages_that_show_what_it_holds_are_closed(second: Target, page: str) -> None:
    assert second.http.post(f"{second.endpoint_url}/{page}", signed=False).status == 403


API = "_aws/execute-api/"  # open, as methods of APIs may be
LIST_QUEUES = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "AmazonSQS.ListQueues",
}
SCOPE = "AWS4-HMAC-SHA256 Credential=x/20261127/us-east-1/"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (API, LIST_QUEUES),
        (API, {**LIST_QUEUES, "Authorization": f"{SCOPE}sqs/aws4_request"}),
        (API, {**LIST_QUEUES, "Host": "sqs.us-east-1.localhost.localstack.cloud"}),
        (f"{API}?Action=ListQueues", {"Content-Type": "application/x-www-form-urlencoded"}),
        (API, {"Host": "bucket.s3.amazonaws.com"}),
        (API, {"Authorization": f"{SCOPE}s3/aws4_request"}),
        ("", {**LIST_QUEUES, "x-sandbox-internal": "\u00e9"}),
        ("", {**LIST_QUEUES, "Origin": "https://example.com"}),
    ],
)
def test_nobody_without_a_key_reaches_a_service_by_the_path_of_apis_a_host_or_a_header(
    second: Target, path: str, headers: dict[str, str]
) -> None:
    answer = second.http.post(f"{second.endpoint_url}/{path}", b"{}", headers, signed=False)
    assert answer.status == 403, answer
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_what_is_executed_is_answered_for_each_engine(second: Target) -> None:
    executes = Deployment(second, "stack", {}).executes
    assert executes("sqs-redrive-task")
    assert executes("sns-fifo-topic")
    assert not executes("service-roles")
    assert not executes("http-apis")


def test_a_type_that_it_does_not_know_fails_the_deployment(second: Target) -> None:
    pipe = resource("Pipes::Pipe", RoleArn="role", Source="source", Target="target")
    with pytest.raises(WaiterError, match="CREATE_FAILED"):
        create_stack(second, "unknown", template({"Pipe": pipe}))
    found = second.client("cloudformation").describe_stacks(StackName="unknown")["Stacks"][0]
    assert "AWS::Pipes::Pipe" in found["StackStatusReason"]


def test_a_function_is_warm_between_calls_and_knows_its_call(shop: Deployment) -> None:
    first, _, failed = call(shop, order=1)
    second, log, _ = call(shop, order=2)
    assert not failed
    assert second["calls"] == first["calls"] + 1
    assert log.startswith(f"START RequestId: {second['request']} Version: $LATEST\norder 2\nEND")
    assert f"REPORT RequestId: {second['request']}\tDuration: " in log
    assert second["name"] == shop["Shop"]
    assert second["arn"].endswith(f":function:{shop['Shop']}")
    assert 1_000 < second["left"] <= 2_000


def test_a_function_has_the_keys_of_its_role_and_nothing_of_the_caller(shop: Deployment) -> None:
    answer, _, _ = call(shop)
    assert answer["key"] not in ("of-the-caller", shop.target.keys.access_key)
    who = client_of(
        Keys(answer["key"], answer["environment"]["AWS_SECRET_ACCESS_KEY"]), shop.target, "sts"
    ).get_caller_identity()
    assert ":assumed-role/" in who["Arn"]
    assert "of-the-caller" not in answer["environment"].values()
    assert answer["environment"]["AWS_ENDPOINT_URL"] == shop.target.endpoint_url
    assert answer["environment"]["HOME"] != os.environ.get("HOME")


def test_an_error_is_told_as_lambda_tells_it(shop: Deployment) -> None:
    answer, log, failed = call(shop, do="raise")
    assert failed
    assert (answer["errorType"], answer["errorMessage"]) == ("OutOfStockError", "none left")
    assert len(answer["stackTrace"]) == 1
    assert 'raise OutOfStockError("none left")' in answer["stackTrace"][0]
    assert "[ERROR] OutOfStockError: none left\nTraceback (most recent call last):\n" in log


@pytest.mark.parametrize(
    ("name", "event", "kind", "message"),
    [
        ("Shop", {"do": "sleep"}, "Sandbox.Timedout", "Task timed out after 2.00 seconds"),
        ("Shop", {"do": "exit"}, "Runtime.ExitError", "exited with error: exit status 7"),
        ("Shop", {"do": "set"}, "Runtime.MarshalError", "Unable to marshal response"),
        ("Lost", {}, "Runtime.ImportModuleError", "module 'index': No module named 'lost'"),
        ("Nameless", {}, "Runtime.HandlerNotFound", "Handler 'lost' missing on module 'index'"),
    ],
)
def test_a_call_that_lambda_ends_is_told_as_lambda_tells_it(
    shop: Deployment, name: str, event: dict[str, str], kind: str, message: str
) -> None:
    answer, log, failed = call(shop, name, **event)
    assert failed
    assert answer["errorType"] == kind
    assert message in answer["errorMessage"]
    assert message in log
    if name == "Shop":
        assert not call(shop)[2], "the next call has a process again"


def test_what_a_function_logs_can_be_read(shop: Deployment) -> None:
    request = call(shop, do="warn")[0]["request"]

    def logged() -> bool:
        return any(
            line.startswith("[WARNING]\t") and line.endswith(f"Z\t{request}\tcareful")
            for line in shop.log_lines(shop["Shop"], None)
        )

    until(logged, seconds=60, what="until the line is in the log")


def test_a_queue_hands_a_body_over_byte_for_byte(second: Target) -> None:
    body = '{\n "price": 1.10,  "name": "Filtre à huile", "name": "twice"\n}'
    receives = allow("sqs:*", "*")
    mapping = resource(
        "Lambda::EventSourceMapping", EventSourceArn=arn("Queue"), FunctionName=ref("F")
    )
    code = "def handler(event, _):\n    print(ascii(event['Records'][0]['body']))"
    made = {"R": role("lambda.amazonaws.com", receives), "Queue": resource("SQS::Queue")}
    made |= {"F": function(code, Role=arn("R")), "Mapping": mapping}
    stack = create_stack(second, "bytes", template(made, Name=ref("F"), Url=ref("Queue")))
    second.client("sqs").send_message(QueueUrl=stack["Url"], MessageBody=body)

    def handed_over() -> bool:
        return ascii(body) in stack.log_lines(stack["Name"])

    until(handed_over, seconds=60, what="until the function has it")


def test_a_named_error_matches_a_catch(shop: Deployment) -> None:
    states = shop.client("stepfunctions")
    started = states.start_execution(stateMachineArn=shop["Machine"])["executionArn"]

    def status() -> str:
        return str(states.describe_execution(executionArn=started)["status"])

    until(lambda: status() != "RUNNING", seconds=60, what="until the execution ends")
    assert status() == "SUCCEEDED"


def test_a_failed_event_has_a_record_and_a_dead_letter_and_a_good_one_a_record(
    second: Target,
) -> None:
    code = "def handler(event, context):\n    return 1 / event['by']\n"
    settings = {"MaximumRetryAttempts": 0, "Qualifier": "$LATEST"}
    ends = {
        f"On{end}": {"Destination": arn(queue)}
        for end, queue in (("Success", "Good"), ("Failure", "Bad"))
    }
    made = {name: resource("SQS::Queue") for name in ("Good", "Bad", "Letters")}
    made["Role"] = role("lambda.amazonaws.com", allow("*", "*"))
    letters = {"TargetArn": arn("Letters")}
    made["Function"] = function(code, Role=arn("Role"), DeadLetterConfig=letters)
    made["Settings"] = resource(
        "Lambda::EventInvokeConfig",
        FunctionName=ref("Function"),
        DestinationConfig=ends,
        **settings,
    )
    outputs = {name: ref(name) for name in ("Good", "Bad", "Letters", "Function")}
    stack = create_stack(second, "ends", template(made, **outputs))
    for divisor in (0, 1):
        stack.client("lambda").invoke(
            FunctionName=stack["Function"],
            InvocationType="Event",
            Payload=json.dumps({"by": divisor}),
        )
    sqs, found = second.client("sqs"), {}
    for name in ("Good", "Bad", "Letters"):
        taken = sqs.receive_message(QueueUrl=stack[name], WaitTimeSeconds=20)["Messages"]
        found[name] = [json.loads(message["Body"]) for message in taken]
    assert found["Letters"] == [{"by": 0}]
    [good], [bad] = found["Good"], found["Bad"]
    assert good["requestPayload"] == {"by": 1}
    assert (bad["requestPayload"], bad["requestContext"]["condition"]) == (
        {"by": 0},
        "RetriesExhausted",
    )
    assert bad["responsePayload"]["errorType"] == "ZeroDivisionError"


RETRIED = {
    "StartAt": "Task",
    "States": {
        "Task": {
            "Type": "Task",
            "QueryLanguage": "JSONata",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {
                "FunctionName": "${Shop}",
                "Payload": {"do": "{% $states.input.do %}"},
            },
            "TimeoutSeconds": 30,
            "Retry": [
                {"ErrorEquals": ["OtherError"], "MaxAttempts": 0},
                {
                    "ErrorEquals": ["OutOfStockError"],
                    "IntervalSeconds": 1,
                    "BackoffRate": 2,
                    "MaxAttempts": 2,
                },
            ],
            "End": True,
        }
    },
}


def test_a_named_error_is_retried_with_backoff_and_ends_the_execution(
    second: Target, shop: Deployment
) -> None:
    states = second.client("stepfunctions")
    definition = json.dumps(RETRIED).replace("${Shop}", shop["Shop"])
    found = states.describe_state_machine(stateMachineArn=shop["Machine"])
    machine = states.create_state_machine(
        name="retried", definition=definition, roleArn=found["roleArn"]
    )["stateMachineArn"]
    started = states.start_execution(stateMachineArn=machine, input='{"do": "raise"}')
    execution = {"executionArn": started["executionArn"]}

    def ended() -> bool:
        return bool(states.describe_execution(**execution)["status"] != "RUNNING")

    until(ended, seconds=60, what="until the execution ends")
    answer = states.describe_execution(**execution)
    assert (answer["status"], answer["error"]) == ("FAILED", "OutOfStockError")
    events = states.get_execution_history(**execution)["events"]
    tried = [event["timestamp"] for event in events if event["type"] == "TaskScheduled"]
    first, second_ = (later - earlier for earlier, later in pairwise(tried))
    assert 1 <= first.total_seconds() < second_.total_seconds()
    assert second_.total_seconds() >= 2


FIFO = {"MessageGroupId": "group", "MessageDeduplicationId": "once"}


@pytest.mark.parametrize(("end", "ids"), [("", {}), (".fifo", FIFO)])
def test_dead_letters_are_redriven_by_sqs_itself(
    second: Target, end: str, ids: dict[str, str]
) -> None:
    """A FIFO queue does not treat a redriven message as a duplicate of itself."""
    sqs, fifo = second.client("sqs"), {"FifoQueue": "true"} if end else {}

    def made(name: str, **attributes: str) -> tuple[str, str]:
        url = sqs.create_queue(QueueName=name + end, Attributes=attributes | fifo)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, found["Attributes"]["QueueArn"]

    dead_url, dead = made("dead")
    policy = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 1})
    url, _ = made("source", RedrivePolicy=policy, VisibilityTimeout="0")
    sqs.send_message(QueueUrl=url, MessageBody="a letter", **ids)

    def dead_lettered() -> bool:
        sqs.receive_message(QueueUrl=url)
        name = "ApproximateNumberOfMessages"
        found = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=[name])
        return bool(found["Attributes"][name] == "1")

    until(dead_lettered, seconds=60, what="until it is dead-lettered")
    sqs.start_message_move_task(SourceArn=dead)

    def ended() -> bool:
        tasks = sqs.list_message_move_tasks(SourceArn=dead)["Results"]
        return bool(tasks and tasks[0]["Status"] == "COMPLETED")

    until(ended, seconds=60, what="until the task ends")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    left = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=names)["Attributes"]
    assert set(left.values()) == {"0"}
    time.sleep(2)  # messages that nobody deletes are looked for every second
    assert "error re-queueing" not in (second.log_dir / "embedded-aws.log").read_text()
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "a letter"


@pytest.fixture(scope="module")
def table(second: Target) -> str:
    second.client("dynamodb").create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return "orders"


def new(table: str, pk: str) -> dict[str, Any]:
    condition = {"ConditionExpression": "attribute_not_exists(pk)"}
    item = {"pk": {"S": pk}, "text": {"S": "&Action=DeleteTable&"}}
    return {
        "TableName": table,
        "Item": item,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        **condition,
    }


def test_a_text_that_looks_like_an_operation_is_kept_as_it_is(second: Target, table: str) -> None:
    dynamodb = second.client("dynamodb")
    dynamodb.put_item(**new(table, "text"))
    found = dynamodb.get_item(TableName=table, Key={"pk": {"S": "text"}})["Item"]
    assert found["text"] == {"S": "&Action=DeleteTable&"}


def test_a_cancelled_transaction_tells_why_and_changes_nothing(second: Target, table: str) -> None:
    dynamodb, key = second.client("dynamodb"), {"pk": {"S": "known"}}
    dynamodb.put_item(**new(table, "known"))
    change = {
        "TableName": table,
        "Key": {"pk": {"S": "text"}},
        "UpdateExpression": "SET paid = :yes",
        "ExpressionAttributeValues": {":yes": {"BOOL": True}},
    }
    actions = [{"Update": change}, {"Put": new(table, "fresh")}, {"Put": new(table, "known")}]
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as failure:
        dynamodb.transact_write_items(TransactItems=actions)
    reasons = failure.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "None", "ConditionalCheckFailed"]
    assert reasons[2]["Item"]["pk"] == key["pk"]
    assert "Item" not in dynamodb.get_item(TableName=table, Key={"pk": {"S": "fresh"}})
    found = dynamodb.get_item(TableName=table, Key={"pk": {"S": "text"}})
    assert "paid" not in found.get("Item", {})


def test_a_bucket_of_cdks_auto_delete_goes_with_its_stack(second: Target) -> None:
    token = "arn:aws:lambda:us-east-1:000000000000:function:of-cdk"
    empty = {
        "Type": "Custom::S3AutoDeleteObjects",
        "Properties": {"ServiceToken": token, "BucketName": ref("Bucket")},
    }
    made = {"Bucket": resource("S3::Bucket"), "Empty": empty}
    stack = create_stack(second, "bucket", template(made, Name=ref("Bucket")))
    second.client("s3").put_object(Bucket=stack["Name"], Key="one", Body=b"1")
    cloudformation = second.client("cloudformation")
    cloudformation.delete_stack(StackName="bucket")
    often = {"Delay": 0.2, "MaxAttempts": 100}
    waiter = cloudformation.get_waiter("stack_delete_complete")
    waiter.wait(StackName="bucket", WaiterConfig=often)
    names = [bucket["Name"] for bucket in second.client("s3").list_buckets()["Buckets"]]
    assert stack["Name"] not in names


def test_an_alarm_on_a_metric_of_sqs_goes_to_alarm(second: Target) -> None:
    url = second.client("sqs").create_queue(QueueName="watched")["QueueUrl"]
    cloudwatch = second.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="watched",
        Namespace="AWS/SQS",
        MetricName="NumberOfMessagesSent",
        Dimensions=[{"Name": "QueueName", "Value": "watched"}],
        Statistic="Sum",
        Period=10,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )

    def in_alarm() -> bool:
        second.client("sqs").send_message(QueueUrl=url, MessageBody="one more")
        found = cloudwatch.describe_alarms(AlarmNames=["watched"])["MetricAlarms"][0]
        return bool(found["StateValue"] == "ALARM")

    # Among the alarms of other files, on a busy machine, it takes a while.
    until(in_alarm, seconds=240, what="until the alarm rings")


def test_it_reaches_nobody_outside_this_machine(second: Target) -> None:
    log = (second.log_dir / "embedded-aws.log").read_text()
    assert "Ready." in log
    code = _as_engine() + PROBE
    done = run(str(PYTHON), "-P", "-c", code)
    assert done.stdout.count("is not this machine") == 6, done
    assert done.returncode == 0, done


def test_who_writes_a_metric_waits_for_the_others_for_a_minute() -> None:
    """SQLite's five seconds are over on a busy machine: "database is locked"."""
    done = run(str(PYTHON), "-P", "-c", _as_engine() + METRICS)
    assert done.stdout == "60000\n", done


def test_a_path_is_parsed_once_wherever_it_is_used() -> None:
    done = run(str(PYTHON), "-P", "-c", _as_engine() + PATHS)
    assert done.stdout == "True [1]\n" * 3, done


def _as_engine() -> str:
    """Code that loads the engine's folder as ``launch.py`` does."""
    launch = (ROOT / "sandbox" / "localstack" / "launch.py").read_text()
    body = launch.split('"""', 2)[2].split('import_module("engine.changes")')[0]
    return body.replace("Path(__file__).parent", f"Path({str(ROOT / 'sandbox/localstack')!r})")


def test_it_has_the_account_asked_for_and_no_process_is_left_when_it_ends(tmp_path: Any) -> None:
    before = set(descendants(os.getpid()))
    with embedded(engine="localstack", log_dir=tmp_path, account="123456789013") as target:
        assert target.account == "123456789013"
        made = {"R": role("lambda.amazonaws.com", allow("logs:*", "*"))}
        made["F"] = function(Role=arn("R"))
        stack = create_stack(target, "held", template(made, Name=ref("F")))
        target.client("lambda").invoke(FunctionName=stack["Name"])
        started = set(descendants(os.getpid())) - before
        assert len(started) >= 3, "the guard, the server, a function's process"
    wait_until_gone(started)

"""What the construct promises besides ``tests/contracts``: who may do what, and times that fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Environment, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from serverless_patterns.lambdas.foundation import replies
from serverless_patterns.patterns.blocks.alarms import Alarms
from serverless_patterns.patterns.limits import SQS_QUEUE_NAME
from serverless_patterns.patterns.request_reply.construct import NewQueue, RequestReply
from tests.inline import function, granted, only, rejected, text
from tests.request_reply.builds import make as make_patient
from tests.request_reply.builds import make_for_a_process

SECONDS = Duration.seconds
ROLE = "arn:aws:iam::222222222222:role/theirs"


def make(stack: Stack, construct_id: str = "Pattern", **given: Any) -> RequestReply:
    """Make one whose function takes 5 s at the most, with the default timeout of a requester."""
    short = function(stack, f"{construct_id}Fast", timeout=SECONDS(5))
    defaults = {"consumer": short, "timeout": SECONDS(60)}
    made = make_patient(stack, construct_id, **defaults | given)
    service = iam.ServicePrincipal("ecs-tasks.amazonaws.com")
    made.grant_request(iam.Role(stack, f"{construct_id}RequesterRole", assumed_by=service))
    return made


def told(stack: Stack, made: RequestReply) -> dict[str, Any]:
    """Return what a requester is told, with names of resources in place of theirs."""
    found: dict[str, Any] = json.loads(text(stack.resolve(made.answers)))
    return found


def prefix_of(stack: Stack, made: RequestReply) -> str:
    return text(stack.resolve(made.answers_prefix))


def answers_of(stack: Stack, made: RequestReply) -> str:
    """Return what every ARN of an answer queue matches."""
    where = "arn:<AWS::Partition>:sqs:<AWS::Region>:<AWS::AccountId>"
    return f"{where}:{prefix_of(stack, made)}*"


def of_queues(stack: Stack, role: str) -> set[tuple[str, str]]:
    """Return what a role may do with queues, and with which."""
    every = granted(Template.from_stack(stack), role)
    return {(action[4:], on) for action, on in every if action.startswith("sqs:")}


# Who may do what


def test_a_requester_may_send_requests_and_have_answer_queues_of_its_own(stack: Stack) -> None:
    answers = answers_of(stack, make(stack))
    verbs = ("CreateQueue", "TagQueue", "ReceiveMessage", "DeleteMessage", "DeleteQueue")
    wanted = {(verb, answers) for verb in verbs} | {("SendMessage", "<PatternQueue>")}
    assert of_queues(stack, "PatternRequesterRole") == wanted


def test_a_responder_may_answer_to_queues_of_requesters_and_to_no_other(stack: Stack) -> None:
    made = make(stack)
    answers = answers_of(stack, made)
    role = iam.Role(stack, "Answers", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    made.grant_respond(role)
    assert of_queues(stack, "Answers") == {("SendMessage", answers)}
    url = "https://sqs.<AWS::Region>.<AWS::URLSuffix>/<AWS::AccountId>/" + prefix_of(stack, made)
    variables = made.responder_environment
    assert text(stack.resolve(variables["ANSWERS_URL"])) == url
    assert variables.keys() == {"ANSWERS_URL", "DEAD_LETTER_QUEUE_URL"}


def test_a_process_may_also_consume_the_requests_and_dead_letter_them(stack: Stack) -> None:
    made = make_for_a_process(stack)
    answers = answers_of(stack, made)
    assert of_queues(stack, "PatternResponderRole") == {
        ("SendMessage", answers),
        ("SendMessage", "<PatternDeadLetterQueue>"),
        *((f"{verb}Message", "<PatternQueue>") for verb in ("Receive", "Delete")),
        ("ChangeMessageVisibility", "<PatternQueue>"),
    }
    assert made.responder_environment["QUEUE_URL"] == made.queue.queue_url
    assert made.event_source_mapping is None


def test_the_sweep_may_delete_answer_queues_and_no_other(stack: Stack) -> None:
    answers = answers_of(stack, make(stack))
    wanted = {("ListQueues", "*"), ("ListQueueTags", answers), ("DeleteQueue", answers)}
    assert of_queues(stack, "PatternSweep") == wanted


@pytest.mark.parametrize("grant", ["grant_request", "grant_respond", "grant_sweep"])
def test_who_cannot_be_granted_it_here_is_rejected(grant: str) -> None:
    here = Environment(account="111111111111", region="eu-west-1")
    stack = Stack(App(), "Stack", env=here)
    made = make(stack)
    with rejected("The grantee is in account 222222222222"):
        getattr(made, grant)(iam.Role.from_role_arn(stack, "Theirs", ROLE))
    with rejected("has no role or user to attach a policy to"):
        getattr(made, grant)(iam.AccountPrincipal("222222222222"))


def test_a_customer_key_encrypts_answers_too_and_each_side_may_use_it(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    made = make(stack, queue=NewQueue(encryption_key=key))
    attributes = told(stack, made)["attributes"]
    assert attributes["KmsMasterKeyId"] == "<Key>"
    assert "SqsManagedSseEnabled" not in attributes
    role = iam.Role(stack, "Answers", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    made.grant_respond(role)
    for name in ("Answers", "PatternRequesterRole"):
        allowed = granted(Template.from_stack(stack), name)
        assert {("kms:Decrypt", "<Key>"), ("kms:GenerateDataKey", "<Key>")} <= allowed


# What a requester is told


def test_answer_queues_are_encrypted_require_tls_and_keep_no_answer_that_nobody_waits_for(
    stack: Stack,
) -> None:
    made = make(stack)
    found = told(stack, made)
    prefix = prefix_of(stack, made)
    assert (found["prefix"], found["timeout"], found["heartbeat"]) == (prefix, 60, 300)
    attributes = found["attributes"]
    assert attributes["SqsManagedSseEnabled"] == "true"
    assert attributes["MessageRetentionPeriod"] == "60"
    [statement] = json.loads(attributes["Policy"])["Statement"]
    assert statement == {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": answers_of(stack, made),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


@pytest.mark.parametrize("fifo", [False, True])
def test_the_names_of_answer_queues_are_short_enough_and_no_other_queue_has_one(
    stack: Stack, fifo: bool
) -> None:
    long = "TheNameOfAConstructThatIsVeryLongIndeed"
    made = make(stack, long, queue=NewQueue(fifo=fifo))
    prefix = told(stack, made)["prefix"]
    path = prefix.removesuffix("<AWS::StackId>-")
    assert len(path) + 36 + 2 + replies.NAME_LENGTH <= SQS_QUEUE_NAME
    for queue in Template.from_stack(stack).find_resources("AWS::SQS::Queue").values():
        assert not text(queue["Properties"].get("QueueName", "")).startswith(prefix)


def test_the_alarm_on_old_requests_goes_off_when_their_requesters_give_up(stack: Stack) -> None:
    make(stack, timeout=SECONDS(77))
    make(stack, "Other", alarms=Alarms(max_age=SECONDS(9)))
    found = Template.from_stack(stack).find_resources(
        "AWS::CloudWatch::Alarm", {"Properties": {"MetricName": "ApproximateAgeOfOldestMessage"}}
    )
    assert {it["Properties"]["Threshold"] for it in found.values()} == {77, 9}


def test_the_sweep_runs_every_hour_and_knows_when_a_queue_is_idle(stack: Stack) -> None:
    made = make(stack, idle=Duration.minutes(12))
    assert only(Template.from_stack(stack), "AWS::Events::Rule")["ScheduleExpression"] == (
        "rate(1 hour)"
    )
    assert made.sweep_environment["IDLE_SECONDS"] == "720"
    assert told(stack, made)["heartbeat"] == 120


# Times that fit


def test_a_second_attempt_that_comes_when_nobody_waits_is_rejected(stack: Stack) -> None:
    with rejected("hides a request for 60 s, but its requester waits for 60 s.*second attempt"):
        make(stack, consumer=function(stack, "Slow", timeout=SECONDS(10)))
    make(stack, "Good", consumer=function(stack, "Fast", timeout=SECONDS(9)))
    letters = sqs.DeadLetterQueue(
        queue=sqs.Queue(stack, "Dlq", retention_period=Duration.days(14)), max_receive_count=5
    )
    own = sqs.Queue(stack, "Own", dead_letter_queue=letters, visibility_timeout=SECONDS(90))
    with rejected("Stack/Own hides a request for 90 s"):
        make(stack, "Yours", queue=own)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"timeout": SECONDS(0)}, "timeout is 0 s; it must be 1 s to 14 days"),
        ({"timeout": Duration.days(15)}, "timeout is 15 days"),
        ({"timeout": 60}, "timeout is 60; it must be of type Duration"),
        ({"idle": SECONDS(299)}, "idle is 299 s; it must be 300 s or more"),
        ({"idle": None}, "idle is None; it must be of type Duration"),
        ({"sweep": None}, "sweep is None; it must be of type Sweep"),
    ],
)
def test_times_that_lose_answers_and_values_of_a_wrong_type_are_rejected(
    stack: Stack, given: dict[str, Any], problem: str
) -> None:
    arguments: dict[str, Any] = {"responder": None, "sweep": None} | given
    if "sweep" not in given:
        made = make_for_a_process(stack, "Base")
        arguments["sweep"] = made._given[2]
    with rejected(problem):
        RequestReply(stack, "Pattern", **arguments)


def test_a_time_that_only_deployment_knows_is_rejected(stack: Stack) -> None:
    parameter = CfnParameter(stack, "Given", type="Number").value_as_number
    with rejected("timeout is known at deployment only"):
        make(stack, timeout=SECONDS(parameter))


def test_a_responder_of_an_imported_queue_needs_its_dead_letter_queue(stack: Stack) -> None:
    arn = "arn:aws:sqs:us-east-1:111111111111:theirs"
    made = make(stack, queue=sqs.Queue.from_queue_arn(stack, "Theirs", arn))
    with rejected("its dead-letter queue is not known here"):
        _ = made.responder_environment

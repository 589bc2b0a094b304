"""What the construct promises besides ``tests/contracts``: who may do what, and times that fit."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, Duration, Environment, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from serverless_patterns.patterns.blocks.alarms import Alarms
from serverless_patterns.patterns.request_reply.construct import RequestReply, Sweep
from tests.inline import function, granted, rejected, text
from tests.request_reply.builds import make as make_patient
from tests.request_reply.builds import make_for_a_process, role

SECONDS = Duration.seconds
ROLE = "arn:aws:iam::222222222222:role/theirs"


def make(stack: Stack, construct_id: str = "Pattern", **given: Any) -> RequestReply:
    """Make one whose function takes 5 s at the most, with the default timeout of a requester."""
    short = function(stack, f"{construct_id}Fast", timeout=SECONDS(5))
    defaults = {"consumer": short, "timeout": SECONDS(60)}
    made = make_patient(stack, construct_id, **defaults | given)
    made.grant_request(role(stack, f"{construct_id}RequesterRole"))
    return made


def answers_of(stack: Stack, made: RequestReply) -> str:
    """Return what every ARN of an answer queue matches."""
    where = "arn:<AWS::Partition>:sqs:<AWS::Region>:<AWS::AccountId>"
    return f"{where}:{text(stack.resolve(made.answers_prefix))}*"


def of_queues(stack: Stack, its: str) -> set[tuple[str, str]]:
    """Return what a role may do with queues, and with which."""
    every = granted(Template.from_stack(stack), its)
    return {(action[4:], on) for action, on in every if action.startswith("sqs:")}


# Who may do what


def test_a_requester_may_send_requests_and_have_answer_queues_of_its_own(stack: Stack) -> None:
    answers = answers_of(stack, make(stack))
    verbs = ("CreateQueue", "TagQueue", "ReceiveMessage", "DeleteMessage", "DeleteQueue")
    wanted = {(verb, answers) for verb in verbs} | {("SendMessage", "<PatternQueue>")}
    assert of_queues(stack, "PatternRequesterRole") == wanted


def test_a_responder_may_answer_to_queues_of_requesters_and_to_no_other(stack: Stack) -> None:
    made = make(stack)
    made.grant_respond(role(stack, "Answers"))
    assert of_queues(stack, "Answers") == {("SendMessage", answers_of(stack, made))}
    assert made.responder_environment.keys() == {"ANSWERS_URL", "DEAD_LETTER_QUEUE_URL"}


def test_a_process_may_also_consume_the_requests_and_dead_letter_them(stack: Stack) -> None:
    made = make_for_a_process(stack)
    assert of_queues(stack, "PatternResponderRole") == {
        ("SendMessage", answers_of(stack, made)),
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


def test_the_alarm_on_old_requests_goes_off_when_their_requesters_give_up(stack: Stack) -> None:
    make(stack, timeout=SECONDS(77))
    make(stack, "Other", alarms=Alarms(max_age=SECONDS(9)))
    found = Template.from_stack(stack).find_resources(
        "AWS::CloudWatch::Alarm", {"Properties": {"MetricName": "ApproximateAgeOfOldestMessage"}}
    )
    assert {it["Properties"]["Threshold"] for it in found.values()} == {77, 9}


@pytest.mark.parametrize("name", ["timeout", "idle", "sweep"])
def test_a_value_of_a_wrong_type_is_rejected(stack: Stack, name: str) -> None:
    given: dict[str, Any] = {"responder": None, "sweep": Sweep(function(stack)), name: 60}
    with rejected(f"{name} is 60; it must be of type "):
        RequestReply(stack, "Pattern", **given)


def test_a_responder_of_an_imported_queue_needs_its_dead_letter_queue(stack: Stack) -> None:
    arn = "arn:aws:sqs:us-east-1:111111111111:theirs"
    made = make(stack, queue=sqs.Queue.from_queue_arn(stack, "Theirs", arn))
    with rejected("its dead-letter queue is not known here"):
        _ = made.responder_environment

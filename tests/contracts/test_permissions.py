"""Every arrow of a stack is allowed, strangers are refused, and no permission is there for nothing.

The arrows follow from the template (``tests/permissions/arrows.py``): API → queue, topic → queue,
delivery stream → bucket, state machine → service, function → what its code calls, key on the way.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from serverless_patterns.patterns.blocks.queues import NewQueue
from serverless_patterns.patterns.blocks.streams import NewStream
from tests.contracts.builds import Build, builds
from tests.permissions.arrows import arrows, strangers
from tests.permissions.cloud import ACCOUNT, OTHER_ACCOUNT, Cloud
from tests.permissions.judge import ADMIN, NOBODY, STRANGER, Request, allowed, meets, mutants

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Permissions without an arrow. The rest of a survivor's name says which policy it is in.
EXPLAINED = {
    "sqs:ChangeMessageVisibility of Allow": "the CDK's grant_consume_messages() has it, for "
    "functions that let a message wait; some of ours do",
    "sqs:GetQueueUrl of Allow": "the CDK's grant_consume_messages() has it",
    "states:SendTaskFailure of Allow": "the CDK's grant_task_response() has it",
}
# In a contract build the code of a function is not ours: what it is given, it may call.
OF_YOUR_CODE = {"Allow states:StartExecution on": "a starter starts executions"}


class Checked:
    """A template, its arrows, and the requests like them that must be refused."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self.cloud = Cloud(template)
        self.arrows = arrows(self.cloud)
        refused = [one for arrow in self.arrows for one in strangers(self.cloud, arrow)]
        self.refused = list({str(one): one for one in refused}.values())

    def wrong(self, policies: Any, changed: str = "") -> list[str]:
        """Return the arrows that are refused and the strangers who are let in."""
        return [
            f"{'refused' if wanted else 'let in'}: {request}"
            for requests, wanted in ((self.arrows, True), (self.refused, False))
            for request in requests
            if not changed or changed in meets(self.cloud, request)
            if allowed(self.cloud, policies, request) is not wanted
        ]


def _plain(build: Build) -> Callable[[Stack], Any]:
    return lambda stack: build.make(stack, "Pattern")


def _keyed(build: Build) -> Callable[[Stack], Any]:
    def make(stack: Stack) -> Any:
        key = kms.Key(stack, "Key")
        given: dict[str, Any] = {"queue": NewQueue(encryption_key=key)}
        if "topic" in build.takes:
            given = {"key": key}
        if "lake" in build.takes:
            of_bucket = kms.Key(stack, "OfBucket")
            bucket = s3.Bucket(
                stack, "Bucket", encryption_key=of_bucket, enforce_ssl=True, minimum_tls_version=1.2
            )
            given = {"stream": NewStream(encryption_key=key), "bucket": bucket}
        return build.make(stack, "Pattern", **given)

    return make


KEYED = [build for takes in ("queue", "topic", "lake") for build in builds(takes)]
MADE: dict[str, Callable[[Stack], Any]] = {
    **{str(build): _plain(build) for build in builds()},
    **{f"{build}-keyed": _keyed(build) for build in KEYED},
}
every_stack = pytest.mark.parametrize("made", MADE)


@cache
def checked(made: str) -> Checked:
    stack = Stack(App(), "Stack")
    MADE[made](stack)
    return Checked(Template.from_stack(stack).to_json())


def survivors(of: Checked, explained: Any) -> list[str]:
    return [
        gone
        for gone, policies in mutants(of.cloud).items()
        if not of.wrong(policies, gone.split(": ")[0])
        if not any(f": {one}" in gone for one in explained)
    ]


def test_every_arrow_of_a_pattern_is_allowed_and_no_stranger_is(template: dict[str, Any]) -> None:
    of = Checked(template)
    assert of.arrows
    assert not of.wrong(of.cloud.policies)


@every_stack
def test_every_arrow_of_a_construct_is_allowed_and_no_stranger_is(made: str) -> None:
    of = checked(made)
    assert not of.wrong(of.cloud.policies)


def test_a_pattern_without_any_one_of_its_permissions_and_conditions_is_broken_or_open(
    template: dict[str, Any],
) -> None:
    assert not survivors(Checked(template), EXPLAINED)


@every_stack
def test_a_construct_without_any_one_of_its_permissions_and_conditions_is_broken_or_open(
    made: str,
) -> None:
    assert not survivors(checked(made), EXPLAINED | OF_YOUR_CODE)


# The judge


QUEUE = f"arn:aws:sqs:eu-central-1:{ACCOUNT}:Queue"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/Key"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Role"


def judged(request: Request, identity: Any = None, resource: Any = None) -> bool:
    cloud = Cloud({"Resources": {}})
    cloud.identity = {ROLE: ["identity"]}
    cloud.resource = {request.on: "resource"} if resource else {}
    found = {"identity": {"Statement": identity or []}, "resource": {"Statement": resource or []}}
    return allowed(cloud, found, request)


def statement(effect: str = "Allow", **fields: Any) -> list[dict[str, Any]]:
    return [{"Effect": effect, "Action": "*", "Resource": "*", **fields}]


def test_a_role_needs_a_permission_of_its_own_or_of_the_resource() -> None:
    send = Request(ROLE, "sqs:SendMessage", QUEUE)
    assert not judged(send)
    assert judged(send, identity=statement())
    assert judged(send, resource=statement(Principal={"AWS": ROLE}))
    assert not judged(send, identity=statement(), resource=statement("Deny", Principal="*"))


def test_another_account_needs_both() -> None:
    send = Request(STRANGER, "sqs:SendMessage", QUEUE)
    assert not judged(send)
    assert judged(send, resource=statement(Principal={"AWS": OTHER_ACCOUNT}))


def test_a_key_is_used_by_whom_its_policy_lets_and_by_nobody_else() -> None:
    for who in (ADMIN, ROLE):
        use = Request(who, "kms:Decrypt", KEY)
        root = statement(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
        assert not judged(use, identity=statement())
        assert judged(use, identity=statement(), resource=root)
    assert not judged(Request(NOBODY, "kms:Decrypt", KEY), resource=root)


def test_a_service_needs_the_resources_policy_and_its_conditions() -> None:
    policy = statement(
        Principal={"Service": "sns.amazonaws.com"},
        Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}},
    )
    ours, others = ({"aws:SourceAccount": account} for account in (ACCOUNT, OTHER_ACCOUNT))
    for service, context, expected in (
        ("sns.amazonaws.com", ours, True),
        ("sns.amazonaws.com", others, False),
        ("sns.amazonaws.com", {}, False),
        ("s3.amazonaws.com", ours, False),
    ):
        send = Request(service, "sqs:SendMessage", QUEUE, context)
        assert judged(send, identity=statement(), resource=policy) is expected


def test_plain_http_is_refused_where_a_policy_says_so() -> None:
    deny = statement("Deny", Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}})
    for https in (True, False):
        send = Request(ROLE, "sqs:SendMessage", QUEUE, https=https)
        assert judged(send, identity=statement(), resource=deny) is https

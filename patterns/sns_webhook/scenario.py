"""The executable promises of the demo stack: every state change reaches each client once.

Knows only the stack's outputs and the AWS APIs. The clients are HTTP servers on this machine that
fail, hang, redirect, answer 410 and recover, so it runs on an embedded AWS only: a real account
reaches no server here. Behind the garage's is the stack's own receiver. The ledger counts
deliveries: a change counts once for each client.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError

from serverless_patterns.lambdas.foundation import webhooks
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from serverless_patterns.redrive.run import Redrive
from serverless_patterns.redrive.sources import InTurn
from serverless_patterns.redrive.ways import ToSubscriber
from serverless_patterns.sandbox import outages, queues
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.http_endpoint import Post, listening
from serverless_patterns.sandbox.sender import Event, batch

from ..shop import Document, Shop, as_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.http_endpoint import Endpoint
    from serverless_patterns.sandbox.report import Report

ENGINE = "localstack"  # it signs what it posts, and has dead-letter queues of subscriptions
ORDERS, UNLUCKY, EACH, REPLAYS = 60, 12, 3, 20
CLIENTS = ("Garage", "Carrier")
QUEUE, DEAD_LETTERS, UNDELIVERED = "QueueUrl", "DeadLetterQueueUrl", "UndeliveredQueueUrl"
FAULTS = {"fails": 500, "redirects": 302, "is gone": 410, "hangs": 0}
# What nobody may register: this machine, private and metadata addresses, their spellings.
PRIVATE = (
    "https://127.0.0.1/", "https://localhost/", "https://169.254.169.254/latest/meta-data/",
    "https://10.0.0.8/hook", "https://[::1]/", "https://[::ffff:10.0.0.8]/", "https://2130706433/",
    "https://0x7f.1/", "http://partner.example.com/", "https://partner.example.com:8443/",
    "https://user:secret@partner.example.com/", "https://metadata.google.internal/",
    "file:///etc/passwd", "gopher://partner.example.com/",
)  # fmt: skip


class Clients(NamedTuple):
    """Who is told of the changes: the garage, with its subscription, and the carrier."""

    garage: Endpoint
    subscription: str
    carrier: Endpoint


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    drive, shop = Driver(stack, report), Shop("whk")
    with ExitStack() as here:
        here.enter_context(drive.calm_retries(QUEUE))
        garage = here.enter_context(listening(partial(receive, drive)))
        carrier = here.enter_context(listening(partial(verified, drive)))
        clients = Clients(garage, subscribe(drive, garage), carrier)
        restart = here.enter_context(allowing(drive, carrier))
        register(drive, carrier.url)

        drive.title("Changes of state, sent twice, and some that nobody can read")
        changes = shop.state_changes(ORDERS, EACH)
        publish(drive, "Changes of orders", changes)
        settled(drive, shop, clients)
        publish(drive, "Duplicates", changes[:60])
        wrong = [one | {"state": "lost"} for one in shop.state_changes(6, 1)]
        publish(drive, "Changes to a state that there is not", wrong)
        take_poison(drive, wrong, clients)
        settled(drive, shop, clients)
        refused_by_the_receiver(drive, garage, shop)
        nobody_else_is_confirmed(drive, garage)
        nobody_registers_a_private_address(drive)

        drive.title("The garage's endpoint fails, hangs, redirects and answers 410, then recovers")
        garage_out_of_order(drive, shop, clients)
        drive.title("The carrier's endpoint is down, and its secret is rotated meanwhile")
        carrier_out_of_order(drive, shop, clients, restart)

        drive.title("Where is every change now? The ledger counts it once for each client")
        settled(drive, shop, clients)
        drive.judge(judge_garage, {"rows": rows(drive, shop)})
        posts = [json.loads(body) for body in carrier.taken]
        drive.judge(judge_carrier, {"posts": posts}, at_least_once=True)
        left = drive.backlog(DEAD_LETTERS, UNDELIVERED, "DeliveryDeadLetterQueueUrl")
        drive.check("after the redeliveries no dead letter is left", left == 0, left)
        drive.not_proven(
            ("sns-delivery-policy", "SNS retries for up to an hour", "policy: tests/sns_webhook"),
            ("", "TLS and the address that is connected to", "tests/lambdas/test_endpoints.py"),
            ("lambda-function-urls", "the receiver's URL", "here the server calls the function"),
            ("sns-metrics-and-alarms", "alarms", "metrics and dimensions: tests/contracts"),
            ("service-roles", "the functions may use their tables", "policies: test_security"),
        )


def publish(drive: Driver, title: str, changes: Sequence[Document]) -> None:
    """Publish changes; each is booked for both clients."""
    made = [
        Event(
            one["change_id"],
            as_json(one),
            deliveries=[f"{name}: {one['change_id']}" for name in CLIENTS],
        )
        for one in changes
    ]
    topic = batch(
        drive.client("sns").publish_batch,
        "PublishBatchRequestEntries",
        lambda event: {"Message": event.body.decode()},
        TopicArn=drive["TopicArn"],
    )
    drive.send(title, topic, made, batch=10)


def subscribe(drive: Driver, garage: Endpoint) -> str:
    """Subscribe the garage's server, as the template does its URL; return the subscription."""
    letters = as_json({"deadLetterTargetArn": drive["UndeliveredQueueArn"]}).decode()
    # Here nobody serves the URL of the template, so that its confirmation is a dead letter.
    list(queues.take(drive.stack, drive[UNDELIVERED]))
    asked = {"Protocol": "http", "Endpoint": garage.url, "ReturnSubscriptionArn": True}
    arn = drive.client("sns").subscribe(
        TopicArn=drive["TopicArn"], Attributes={"RedrivePolicy": letters}, **asked
    )["SubscriptionArn"]
    drive.wait("the receiver has confirmed the subscription", lambda: not is_pending(drive, arn))
    return str(arn)


def is_pending(drive: Driver, subscription: str) -> bool:
    """Whether nobody has confirmed a subscription."""
    found = drive.client("sns").get_subscription_attributes(SubscriptionArn=subscription)
    return bool(found["Attributes"]["PendingConfirmation"] == "true")


def receive(drive: Driver, post: Post) -> int:
    """Hand a post to the receiver as its URL does."""
    event = {"version": "2.0", "headers": dict(post.headers), "body": post.body.decode()}
    try:
        return int(drive.call("ReceiverFunctionName", event).get("statusCode", 500))
    except BotoCoreError:  # a busy machine does not answer in time
        return 503


def verified(drive: Driver, post: Post) -> int:
    """Take a webhook as a third party does, with the secret that it was told at first."""
    try:
        webhooks.verify(post.headers, post.body, [secret(drive)], time.time())
    except RefusedError:
        return 401
    return 200


@cache
def secret(drive: Driver) -> str:
    """Return the carrier's secret as it was when it was first asked for."""
    found = drive.client("secretsmanager").get_secret_value(SecretId=drive["SecretArn"])
    return str(found["SecretString"])


@contextmanager
def allowing(drive: Driver, carrier: Endpoint) -> Iterator[Any]:
    """Let the shop post to a server on this machine, which nobody may register otherwise."""
    with (
        outages.settings_of(drive.stack, drive["RegisterFunctionName"]) as (_, use_register),
        outages.settings_of(drive.stack, drive["DeliverFunctionName"]) as (_, use),
    ):
        use_register(ALLOWED_ORIGINS=carrier.origin)
        restart = partial(use, ALLOWED_ORIGINS=carrier.origin, LONGEST_WAIT_SECONDS="2")
        restart()
        yield restart


def register(drive: Driver, *urls: str) -> list[str]:
    """Register endpoints of the carrier, one after the other; return the answers."""
    return [str(drive.call("RegisterFunctionName", {"url": url})["status"]) for url in urls]


def nobody_registers_a_private_address(drive: Driver) -> None:
    """Try to register what leads into a network that is not public."""
    answers = register(drive, *PRIVATE)
    promise = f"{len(PRIVATE)} endpoints of private networks are not registered"
    drive.check(promise, answers == ["rejected"] * len(PRIVATE), answers)


def refused_by_the_receiver(drive: Driver, garage: Endpoint, shop: Shop) -> None:
    """Post to the garage what was recorded: once more, and changed."""
    post = next(one for one in garage.posts if b'"Notification"' in one.body)
    before = rows(drive, shop)
    said = json.loads(post.body)
    again = [receive(drive, post) for _ in range(REPLAYS)]
    unchanged = again == [200] * REPLAYS and rows(drive, shop) == before
    drive.check(f"{REPLAYS} replayed messages change nothing", unchanged, again)
    changed = [
        {"Message": said["Message"].replace("order", "0rder")}, {"MessageId": "another"},
        {"Timestamp": "2026-01-01T00:00:00.000Z"}, {"TopicArn": f"{said['TopicArn']}2"},
        {"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": "https://evil.example/"},
        {"SignatureVersion": "1"}, {"Signature": "AAAA"}, {"Subject": "another"},
        {"SigningCertURL": "https://sns.us-east-1.amazonaws.com.evil.example/a.pem"},
        {"SigningCertURL": said["SigningCertURL"].replace("https", "http")},
    ]  # fmt: skip
    altered = [receive(drive, Post("", {}, as_json(said | one))) for one in changed]
    promise = f"{len(changed)} altered messages are rejected"
    drive.check(promise, altered == [403] * len(changed), altered)
    drive.check("nothing that was rejected has an effect", rows(drive, shop) == before)


def nobody_else_is_confirmed(drive: Driver, garage: Endpoint) -> None:
    """Subscribe the garage's server to a topic of somebody else, which SNS signs as well."""
    sns, before = drive.client("sns"), garage.refused
    topic = sns.create_topic(Name="of-a-stranger", Attributes={"SignatureVersion": "2"})["TopicArn"]
    asked = {"Protocol": "http", "Endpoint": garage.url, "ReturnSubscriptionArn": True}
    try:
        arn = sns.subscribe(TopicArn=topic, **asked)["SubscriptionArn"]
        drive.wait("the receiver was asked", lambda: garage.refused > before)
        pending = is_pending(drive, arn)
    finally:
        sns.delete_topic(TopicArn=topic)
    drive.check("a subscription of an unknown topic is not confirmed", pending)


def take_poison(drive: Driver, wrong: Sequence[Document], clients: Clients) -> None:
    """Check that what no retry can help is kept for each client."""
    each = (UNDELIVERED, DEAD_LETTERS)
    drive.wait(
        "the dead letters are there",
        lambda: answered(drive, clients) and min(map(drive.backlog, each)) >= len(wrong),
    )

    def name(output: str, message: Document) -> str:
        client = "Garage" if output == UNDELIVERED else "Carrier"
        try:
            body = json.loads(message["Body"])
            change = json.loads(body["Message"]) if "Message" in body else body
            return f"{client}: {change['change_id']}"
        except (ValueError, LookupError):
            return str(message["Body"])[:60]

    reasons = {"Garage": "", "Carrier": "field"}
    expected = {f"{n}: {one['change_id']}": reasons[n] for n in CLIENTS for one in wrong}
    promise = "what no client can read is kept for each"
    drive.dead_letters(promise, expected, name, *each)


def redeliver(drive: Driver, clients: Clients) -> None:
    """Deliver the garage's dead letters again."""
    letters = InTurn(drive.client("sqs"), drive[UNDELIVERED], ("order_id", "version"))
    Redrive(ToSubscriber(drive.client, clients.subscription), 100).run([letters])


def answered(drive: Driver, clients: Clients) -> bool:
    """Whether the garage has answered each post in time, and not failed by itself.

    On a busy machine it does not. SNS would attempt such a delivery again; here it attempts each
    once, and the dead letter is redelivered.
    """
    if clients.garage.unanswered:
        redeliver(drive, clients)
    return not (clients.garage.unanswered or clients.garage.busy)


def garage_out_of_order(drive: Driver, shop: Shop, clients: Clients) -> None:
    """Let the garage's endpoint be slow, which loses nothing, and out of order in each way."""
    garage = clients.garage
    garage.delay = 1
    publish(drive, "Changes while it is slow", shop.state_changes(UNLUCKY, 1))
    settled(drive, shop, clients)
    garage.delay = 0
    drive.check("a slow endpoint gets its changes", drive.backlog(UNDELIVERED) == 0)
    for fault, status in FAULTS.items():
        # While it hangs, each costs SNS its patience.
        unlucky = shop.state_changes(UNLUCKY if status else 3, EACH)
        with garage.failing(status):
            publish(drive, f"Changes while it {fault}", unlucky)
            kept = drive.wait_for_messages("they are dead letters", UNDELIVERED, len(unlucky))
        promise = f"what the endpoint does not take while it {fault} is dead-lettered"
        drive.check(promise, kept >= len(unlucky), kept)
        redeliver_in_order(drive, clients, fault)
    drive.check("a redirect is not followed", not garage.followed, garage.followed)


def redeliver_in_order(drive: Driver, clients: Clients, fault: str) -> None:
    """Deliver the dead letters again, and look at the order in which they arrive."""
    before = len(clients.garage.taken)
    redeliver(drive, clients)
    drive.wait("the garage has answered", partial(answered, drive, clients))
    left = drive.backlog(UNDELIVERED)
    drive.check(f"the dead letters are redelivered: it {fault} no more", left == 0, left)
    arrived: dict[str, list[int]] = {}
    for body in clients.garage.taken[before:]:
        change = json.loads(json.loads(body)["Message"])
        arrived.setdefault(change["order_id"], []).append(change["version"])
    wrong = {order: them for order, them in arrived.items() if them != sorted(them)}
    drive.check(f"in order for each of {len(arrived)} orders", bool(arrived) and not wrong, wrong)


def carrier_out_of_order(drive: Driver, shop: Shop, clients: Clients, restart: Any) -> None:
    """Let the carrier's endpoint fail for longer than its attempts, and answer 410."""
    carrier = clients.carrier
    for fault in ("fails", "redirects", "hangs"):
        with carrier.failing(FAULTS[fault]):
            publish(drive, f"Changes while it {fault}", shop.state_changes(2, 1))
            drive.wait("it was asked in vain", lambda: carrier.refused + carrier.followed > 1)
        settled(drive, shop, clients)
    drive.check("the carrier's redirect is not followed", not carrier.followed, carrier.followed)

    client, arn = drive.client("secretsmanager"), drive["SecretArn"]
    client.put_secret_value(SecretId=arn, SecretString="c2VjcmV0" * 5)
    restart(RESTARTED=str(time.time()))  # or it keeps the secrets that it has for five minutes
    before = len(carrier.posts)
    publish(drive, "Changes after a rotation", shop.state_changes(5, 1))
    settled(drive, shop, clients)
    signed = [post.headers["webhook-signature"].split() for post in carrier.posts[before:]]
    promise = "during a rotation the old secret verifies, too"
    drive.check(promise, {len(one) for one in signed} == {2}, signed)

    with drive.quick_retries(QUEUE, attempts=2), carrier.failing(503):
        late = shop.state_changes(5, 1)
        publish(drive, "Changes while it is down for long", late)
        kept = drive.wait_for_messages("its attempts are used up", DEAD_LETTERS, len(late))
    drive.check("an outage beyond the attempts is dead-lettered", kept >= len(late), kept)
    drive.redrive(DEAD_LETTERS, QUEUE)
    settled(drive, shop, clients)

    with carrier.failing(410):
        publish(drive, "Changes while it answers 410", shop.state_changes(4, 1))
        drive.drain(QUEUE)
        kept = drive.wait_for_messages("they are dead letters", DEAD_LETTERS, 4)
    why = [queues.reason(one) for one in queues.peek(drive.stack, drive[DEAD_LETTERS])]
    known = set(why) <= {"gone", "no_endpoint"}
    drive.check("410 ends the deliveries, and keeps the changes", kept >= 4 and known, why)
    register(drive, carrier.url)
    # SQS moves back what it has dead-lettered itself; these are of the function.
    queues.move_back(drive.stack, drive[DEAD_LETTERS], drive[QUEUE])
    settled(drive, shop, clients)


def settled(drive: Driver, shop: Shop, clients: Clients) -> None:
    """Wait until each client has what it is meant to have."""
    wanted = {*drive.ledger.accepted} - {*drive.ledger.dead_lettered}

    def found() -> list[str]:
        if not answered(drive, clients):
            return []
        posts = [f"Carrier: {json.loads(body)['change_id']}" for body in clients.carrier.taken]
        return posts + [f"Garage: {row['change_id']}" for row in rows(drive, shop)]

    drive.wait_for("each client has the changes", wanted, found)


def rows(drive: Driver, shop: Shop) -> list[Document]:
    """Return what the garage has of this run."""
    return drive.rows("ReceiverTableName", "begins_with(pk, :text)", shop.run)


def judge_garage(drive: Driver, rows: Sequence[Document]) -> None:
    """Book every change that the garage has stored."""
    drive.ledger.processed.update(f"Garage: {row['change_id']}" for row in rows)
    drive.as_sent("the garage has what was sent", ((row["change_id"], row) for row in rows))


def judge_carrier(drive: Driver, posts: Sequence[Document]) -> None:
    """Book every change that the carrier has taken; it knows a second one by its id."""
    by_id = {post["change_id"]: post for post in posts}
    drive.ledger.processed.update(f"Carrier: {id_}" for id_ in by_id)
    drive.as_sent("the carrier has what was sent", by_id.items())

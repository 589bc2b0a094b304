"""Deliver again what SNS could not deliver to a subscriber, and delete what the subscriber took.

Reads the dead-letter queue of one subscription, and hands each message to that subscriber alone, in
the form in which SNS would have: to its queue, function, delivery stream or endpoint. Amazon SQS
has no redrive for such a queue, and to publish again would reach every subscriber. Nothing is
deleted before the subscriber has taken its message: a run that is stopped may deliver one twice but
loses none. Uses the AWS credentials and the Region of your shell.

    python -m serverless_patterns.patterns.redrive.subscription --subscription ARN --dry-run
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

try:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    sys.exit("The redrive needs boto3: install serverless-patterns with its extra 'sandbox'.")

from serverless_patterns.lambdas.foundation import aws
from serverless_patterns.terminal import visible

from .sources import BATCH, Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .sources import Letter

HIDING = 3_600  # seconds: in order, all are read before the first is delivered
PATIENCE = 15  # seconds for an answer, as SNS has
# What SNS adds to a message that it could not deliver.
OF_SNS = ("RequestID", "ErrorCode", "ErrorMessage")


class NotTakenError(Exception):
    """The subscriber did not take a message; it says why."""


@dataclass
class SubscriptionReport:
    """What became of the messages."""

    found: int = 0
    delivered: int = 0
    not_deleted: int = 0  # delivered, but still there: the next run delivers it once more
    newer_than_this_run: int = 0  # kept
    kept: Counter[str] = field(default_factory=Counter)  # by why the subscriber did not take them

    @property
    def good(self) -> bool:
        """Whether nothing needs a second look."""
        return not (self.kept or self.not_deleted)

    def lines(self) -> list[str]:
        """Return the report as text."""
        lines = [f"{self.found:>12,}  found, {self.delivered:,} delivered"]
        lines += [f"{self.not_deleted:>12,}  delivered but not deleted"] * bool(self.not_deleted)
        newer = "newer than this run: kept"
        lines += [f"{self.newer_than_this_run:>12,}  {newer}"] * bool(self.newer_than_this_run)
        return lines + [f"{n:>12,}  kept: {why}" for why, n in self.kept.most_common()]


@dataclass
class Redelivery:
    """One run.

    Args:
        client: Makes a client of a service, by boto3's name of it.
        subscription: Its ARN.
        dry_run: Only look. Default: no.
        order_by: The fields of an event that name its group and its turn in it, such as
            ``("order_id", "version")``: a group's events are delivered in turn, and those behind
            one that is not taken are kept. Default: the oldest of each ten first.
    """

    client: Callable[[str], Any]
    subscription: str
    dry_run: bool = False
    order_by: tuple[str, str] | None = None

    def run(self) -> SubscriptionReport:
        """Deliver what is in the dead-letter queue, the oldest of each ten first.

        Raises:
            ValueError: the subscription has no dead-letter queue, or a protocol that nobody else
                than SNS can deliver by.
        """
        said = self.client("sns").get_subscription_attributes(SubscriptionArn=self.subscription)
        given = said["Attributes"]
        deliver = self._way(given["Protocol"], given["Endpoint"])
        kept_in = json.loads(given.get("RedrivePolicy") or "{}").get("deadLetterTargetArn")
        if kept_in is None:
            raise ValueError("The subscription has no dead-letter queue: nothing was kept.")
        report, started = SubscriptionReport(), time.time()
        queue = Queue(self.client("sqs"), self._url(kept_in), HIDING)
        behind: set[str] = set()
        try:
            for letters in in_turn(queue.batches(), self.order_by):
                taken = []
                for group, letter in letters:
                    report.found += 1
                    if letter.sent_at > started:
                        report.newer_than_this_run += 1
                    elif group in behind:
                        report.kept["behind one that was not taken"] += 1
                    elif not self.dry_run and self._taken(deliver, letter, report):
                        taken.append(letter.id)
                        continue
                    behind |= {group} if group else set()
                if taken:
                    report.delivered += len(taken)
                    report.not_deleted += queue.delete(taken)
        finally:
            queue.release()
        return report

    def _taken(
        self, deliver: Callable[[Letter], object], letter: Letter, report: SubscriptionReport
    ) -> bool:
        try:
            deliver(letter)
        except (ClientError, BotoCoreError) as error:
            report.kept[aws.code(error)] += 1
        except NotTakenError as error:
            report.kept[str(error)] += 1
        else:
            return True
        return False

    def _way(self, protocol: str, endpoint: str) -> Callable[[Letter], object]:
        """Return what delivers a message as SNS would."""
        if protocol == "sqs":
            if endpoint.endswith(".fifo"):
                raise ValueError("A FIFO queue needs its order: replay the topic's archive.")
            sqs, url = self.client("sqs"), self._url(endpoint)
            return lambda letter: sqs.send_message(
                QueueUrl=url,
                MessageBody=letter.body,
                MessageAttributes={k: v for k, v in letter.given.items() if k not in OF_SNS},
            )
        if protocol == "lambda":
            functions = self.client("lambda")
            return lambda letter: functions.invoke(
                FunctionName=endpoint, InvocationType="Event", Payload=self._event(letter.body)
            )
        if protocol == "firehose":
            firehose, name = self.client("firehose"), endpoint.rpartition("/")[2]
            return lambda letter: firehose.put_record(
                DeliveryStreamName=name, Record={"Data": letter.body.encode()}
            )
        if protocol in ("http", "https"):
            return lambda letter: post(endpoint, letter.body, self.subscription)
        raise ValueError(f"Nobody but SNS delivers by {protocol}: publish the message again.")

    def _event(self, body: str) -> bytes:
        """Return what a function gets of SNS.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
        """
        try:
            notification = json.loads(body)
        except ValueError:
            raise NotTakenError("not a notification of SNS") from None
        record = {"EventVersion": "1.0", "EventSource": "aws:sns", "Sns": notification}
        record["EventSubscriptionArn"] = self.subscription
        return json.dumps({"Records": [record]}).encode()

    def _url(self, arn: str) -> str:
        *_, account, name = arn.split(":")
        found = self.client("sqs").get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
        return str(found["QueueUrl"])


def in_turn(
    batches: Iterable[list[Letter]], order_by: tuple[str, str] | None
) -> Iterator[list[tuple[str, Letter]]]:
    """Yield up to ten letters at a time, each with its group, in the order to deliver them in.

    What has no group, because it is not JSON with these fields, comes last, and alone.
    """
    if order_by is None:
        for letters in batches:
            yield [("", one) for one in sorted(letters, key=lambda letter: letter.sent_at)]
        return
    group, turn = order_by
    known: list[tuple[str, float, float, Letter]] = []
    others: list[Letter] = []
    for letter in (one for letters in batches for one in letters):
        try:
            said = json.loads(letter.body)
            said = json.loads(said["Message"]) if said.get("Type") == "Notification" else said
            known.append((str(said[group]), float(said[turn]), letter.sent_at, letter))
        except (ValueError, LookupError, TypeError, AttributeError):
            others.append(letter)
    ordered = [(one[0], one[-1]) for one in sorted(known, key=lambda one: one[:3])]
    yield from aws.batches([*ordered, *(("", one) for one in others)], most=BATCH)


class _Final(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer, and not followed: SNS does not, and it may lead anywhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


def post(url: str, body: str, subscription: str) -> None:
    """Post a message to an endpoint as SNS does; what it has signed is still signed.

    Source: https://docs.aws.amazon.com/sns/latest/dg/http-header.html

    Raises:
        NotTakenError: the answer is no success, or none came.
    """
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-subscription-arn": subscription,
        "x-amz-sns-topic-arn": subscription.rpartition(":")[0],
    }
    try:
        said = json.loads(body)
        signed = said["Type"] == "Notification"
    except (ValueError, LookupError, TypeError):
        signed = False
    if signed:
        headers["x-amz-sns-message-id"] = str(said.get("MessageId", ""))
    else:
        headers["x-amz-sns-rawdelivery"] = "true"
    request = urllib.request.Request(url, body.encode(), headers)  # noqa: S310 - SNS's own endpoint
    try:
        with urllib.request.build_opener(_Final).open(request, timeout=PATIENCE):
            pass
    except urllib.error.HTTPError as error:
        raise NotTakenError(f"HTTP {error.code}") from None
    except OSError as error:
        why = getattr(error, "reason", error)
        raise NotTakenError(f"no answer: {why}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 when everything was delivered and deleted."""
    parser = argparse.ArgumentParser(
        prog="python -m serverless_patterns.patterns.redrive.subscription",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--subscription", required=True, help="ARN of the subscription")
    parser.add_argument("--dry-run", action="store_true", help="only look, deliver nothing")
    said = "fields of an event: its group, and its turn in it, to deliver each group in turn"
    parser.add_argument("--order-by", nargs=2, metavar=("GROUP", "TURN"), help=said)
    given = parser.parse_args(arguments)
    order = (given.order_by[0], given.order_by[1]) if given.order_by else None
    region = os.environ.get("AWS_REGION")  # which boto3 does not read
    make: Any = boto3.client  # typed for literal names only
    run = Redelivery(
        lambda service: make(service, region_name=region),
        given.subscription,
        given.dry_run,
        order,
    )
    try:
        report = run.run()
    except (ValueError, KeyboardInterrupt, ClientError, BotoCoreError) as error:
        print(visible(f"Stopped: {error or 'by you'}. What was not delivered is still there."))
        return 1
    dry = ["Dry run: nothing was changed."] * given.dry_run
    print(visible("\n".join([*dry, *report.lines()])))
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())

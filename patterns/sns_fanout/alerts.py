"""alarm | S3 upload | Auto Scaling change → SNS → mail | SMS;  SNS ⇢ DLQ ⇢ alarm"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from aws_cdk import ArnFormat, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from ..blocks.alarms import CLOUDWATCH, MINUTE, Alarms, Runbook, allow_cloudwatch
from ..blocks.bucket_events import send_to_event_bridge
from ..blocks.grants import service_principal
from ..blocks.routes import Delivery, Routed, route
from ..blocks.subscriptions import Subscription, deliver
from ..blocks.topics import TopicSettings, new_standard_source
from ..blocks.values import Path, expect, is_token, number, place_of, seconds, stack_of
from ..checks import reject
from ..checks import sns as checks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_s3 as s3

# A text message costs from half a cent to a third of a dollar, by country; so only what is urgent
# becomes one. An alarm's own message has this field.
URGENT = "ALARM"
ONLY_URGENT = sns.FilterOrPolicy.filter(sns.SubscriptionFilter.string_filter(allowlist=[URGENT]))
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_NUMBER = re.compile(r"\+[1-9]\d{6,14}")
# https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html
SCALED = [
    f"EC2 Instance {what}"
    for what in (
        "Launch Successful",
        "Launch Unsuccessful",
        "Terminate Successful",
        "Terminate Unsuccessful",
    )
]
SMS_SPEND = Runbook(
    means="Text messages of this account and Region have used most of their budget of this month. "
    "At the account's MonthlySpendLimit, SNS stops sending them within minutes.",
    see="Read SMSMonthToDateSpentUSD, and look for an alarm that goes off and returns again and "
    "again.",
    fix="Fix that alarm, or give it more evaluation periods. If the spend is right, raise the "
    "budget, and the limit with `aws sns set-sms-attributes`.",
    verify="The metric stays below the budget; it starts again at 0 on the first of the month.",
)


class Alerts(Construct):
    """Tell people: every alert by mail, and those that are urgent by text message, too.

    Only alarms and the events that you choose reach people, in a fixed text: no function can
    publish, and no field of an event is told but the names of its resources, so that personal data
    does not reach mailboxes and phones. A recipient who has not confirmed gets nothing.

    Args:
        emails: Who is told by mail. Give a token, such as the value of a parameter of the template,
            to keep an address out of the template.
        phone_numbers: Who is told by text message when an alarm goes off, such as
            ``+491701234567``. Default: nobody.
        monthly_sms_budget: US dollars for text messages of this account and Region, each month; an
            alarm goes off at 80 % of it. Needed with phone numbers. What stops the spend is the
            account's ``MonthlySpendLimit``, which no template sets.
        encryption_key: Customer managed key of the topic and of the dead-letter queues of its
            subscriptions. Default: a new one, because neither CloudWatch nor EventBridge can use
            the key that AWS manages.

    Attributes:
        topic: What alerts are published to.
        action: What tells people of an alarm: ``Alarms(actions=[alerts.action])``.
        encryption_key: The key.
        alarms: The construct's own alarms.

    Raises:
        ValueError: nobody to tell, an invalid address, or text messages without a budget or
            where there are none.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        emails: Sequence[str],
        phone_numbers: Sequence[str] = (),
        monthly_sms_budget: float | None = None,
        encryption_key: kms.IKey | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        _check(self, emails, phone_numbers, monthly_sms_budget)
        from aws_cdk import aws_cloudwatch_actions as actions  # not every stack has it

        expect("encryption_key", encryption_key, "IKey", None)
        # It goes with what it encrypts: the topic's dead-letter queues.
        self.encryption_key = encryption_key or kms.Key(
            self, "Key", enable_key_rotation=True, removal_policy=RemovalPolicy.DESTROY
        )
        self._names: set[str] = set()
        settings = TopicSettings(encryption_key=self.encryption_key)
        self._source = new_standard_source(self, settings, signature_version="2")
        self.topic = self._source.topic
        allow_cloudwatch(self.encryption_key)
        self.topic.add_to_resource_policy(_alarms_may_publish(self, self.topic))
        self.action: cloudwatch.IAlarmAction = actions.SnsAction(self.topic)
        self._alarms = Alarms([self.action]).of_pattern(__name__)
        self.alarms: list[cloudwatch.Alarm] = []
        for address in emails:
            self._tell("Mail", address, sns.SubscriptionProtocol.EMAIL, Subscription())
        urgent = Subscription(filter_policy_with_message_body={"NewStateValue": ONLY_URGENT})
        for phone in phone_numbers:
            self._tell("Sms", phone, sns.SubscriptionProtocol.SMS, urgent)
        if monthly_sms_budget is not None:
            self._watch_spend(monthly_sms_budget)

    def on_upload(
        self, construct_id: str, *, bucket: s3.IBucket, prefix: str = "", urgent: bool = False
    ) -> Routed:
        """Tell people that objects were uploaded; not their keys, which may name somebody.

        Args:
            construct_id: Its id below the alerts.
            bucket: Whose uploads.
            prefix: What their keys begin with. Default: any key.
            urgent: Whether by text message, too. Default: no.

        Raises:
            ValueError: see ``blocks.routes.route``.
        """
        expect("bucket", bucket, "IBucket")
        send_to_event_bridge(bucket)
        detail: dict[str, Any] = {"bucket": {"name": [bucket.bucket_name]}}
        if prefix:
            detail["object"] = {"key": [{"prefix": prefix}]}
        name = events.EventField.from_path("$.detail.bucket.name")
        told = f"An object was uploaded to {name}."
        return self._on(construct_id, "aws.s3", ["Object Created"], detail, told, urgent=urgent)

    def on_scaling(
        self, construct_id: str, *, auto_scaling_group_name: str, urgent: bool = False
    ) -> Routed:
        """Tell people that an Auto Scaling group launched or terminated an instance, or failed to.

        Args:
            construct_id: Its id below the alerts.
            auto_scaling_group_name: Of which group.
            urgent: Whether by text message, too. Default: no.

        Raises:
            ValueError: see ``blocks.routes.route``.
        """
        expect("auto_scaling_group_name", auto_scaling_group_name, str)
        name = events.EventField.from_path("$.detail.AutoScalingGroupName")
        told = f"{events.EventField.detail_type} in the Auto Scaling group {name}."
        detail = {"AutoScalingGroupName": [auto_scaling_group_name]}
        return self._on(construct_id, "aws.autoscaling", SCALED, detail, told, urgent=urgent)

    def _on(
        self,
        construct_id: str,
        source: str,
        detail_type: Sequence[str],
        detail: dict[str, Any],
        told: str,
        *,
        urgent: bool,
    ) -> Routed:
        text = {"NewStateValue": URGENT if urgent else "OK", "NewStateReason": told}
        routed = route(
            Construct(self, construct_id),
            events.EventBus.from_event_bus_name(self, f"{construct_id}Bus", "default"),
            events.EventPattern(source=[source], detail_type=[*detail_type], detail=detail),
            self.topic,
            delivery=Delivery(input=events.RuleTargetInput.from_object(text)),
            alarms=self._alarms,
            undelivered="RuleUndeliveredAlarm",  # a subscription has one of the other name
        )
        self.alarms += routed.alarms
        return routed

    def _tell(
        self, kind: str, to: str, protocol: sns.SubscriptionProtocol, which: Subscription
    ) -> None:
        # An id that stays when others come and go, and does not name anybody.
        name = len(self._names) if is_token(to) else hashlib.sha256(to.encode()).hexdigest()[:8]
        self._names.add(to)
        scope = Construct(self, f"{kind}{name}")
        delivery = deliver(
            scope, self._source, which, protocol=protocol, endpoint=to, alarms=self._alarms
        )
        self.alarms += [delivery.alarm] if delivery.alarm else []

    def _watch_spend(self, budget: float) -> None:
        spent = cloudwatch.Metric(
            namespace="AWS/SNS",
            metric_name="SMSMonthToDateSpentUSD",
            period=seconds(MINUTE),
            statistic="Maximum",
        )
        alarm = self._alarms.above(self, "SmsSpendAlarm", spent, SMS_SPEND, threshold=0.8 * budget)
        self.alarms.append(alarm)


def _alarms_may_publish(scope: Construct, topic: sns.ITopic) -> iam.PolicyStatement:
    """Return what lets CloudWatch publish for the alarms of this account and Region."""
    stack = stack_of(scope)
    arn = stack.format_arn(
        service="cloudwatch",
        resource="alarm",
        resource_name="*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    return iam.PolicyStatement(
        principals=[service_principal(CLOUDWATCH)],
        actions=["sns:Publish"],
        resources=[topic.topic_arn],
        conditions={
            "ArnLike": {"aws:SourceArn": arn},
            "StringEquals": {"aws:SourceAccount": stack.account},
        },
    )


def _check(
    scope: Construct, emails: Sequence[str], phones: Sequence[str], budget: float | None
) -> None:
    """Reject nobody, invalid addresses, and text messages without a limit to their cost.

    Source: https://docs.aws.amazon.com/sns/latest/dg/channels-sms-awssmsaccount.html
    """
    for name, given, form, such_as in (
        ("emails", emails, _MAIL, "on-call@example.com"),
        ("phone_numbers", phones, _NUMBER, "+491701234567"),
    ):
        expect(name, given, list, tuple)
        for one in given:
            expect(f"One of {name}", one, str)
            if not is_token(one) and not form.fullmatch(one):
                raise ValueError(f"{name} has {one!r}; each must be such as {such_as}.")
        if len({*given}) < len(given):
            raise ValueError(
                f"{name} has one twice: SNS keeps one subscription of each. Remove it."
            )
    if not emails:
        raise ValueError(
            "emails is empty: what a text message has no room for would reach nobody. Give one or "
            "more."
        )
    expect("monthly_sms_budget", budget, int, float, None)
    if bool(phones) != (budget is not None):
        given_one = "phone_numbers" if phones else "monthly_sms_budget"
        other = "monthly_sms_budget" if phones else "phone_numbers"
        raise ValueError(
            f"{given_one} was given without {other}: text messages need a limit to their cost, and "
            "it needs them. Give both, or neither."
        )
    known = number(budget)
    if known is not None and known <= 0:
        raise ValueError(f"monthly_sms_budget is {known:g}; it must be above 0 US dollars.")
    if phones:
        reject(checks.text_messages(Path(scope), place_of(stack_of(scope))[1]))

"""A function that answers the requests of an API: its alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .alarms import MINUTE, Runbook
from .values import seconds

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

    from .alarms import Alarms

AGAIN = ", so clients get 5xx and must send their requests again."
FRONT_FAILS = Runbook(
    means=f"Calls of the front fail{AGAIN}",
    see="Read its log for the error; AWS X-Ray shows the call that failed.",
    fix="Deploy a front that works, or raise its timeout or memory if it runs out of them.",
    verify="Errors falls to 0.",
)
FRONT_THROTTLED = Runbook(
    means=f"Lambda throttles the front{AGAIN}",
    see="Compare its ConcurrentExecutions with its reserved concurrency and the account's quota.",
    fix="Raise the reserved concurrency or the quota, or lower the rate limit of the API.",
    verify="Throttles falls to 0.",
)


def alarms_of_front(
    scope: Construct, front: lambda_.IFunction, alarms: Alarms
) -> list[cloudwatch.Alarm]:
    """Go off when calls of a function that answers an API fail, or are throttled.

    Source:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
    """
    minute = seconds(MINUTE)
    errors = front.metric_errors(period=minute, statistic="Sum")
    throttles = front.metric_throttles(period=minute, statistic="Sum")
    rows = [
        ("FrontErrorsAlarm", errors, FRONT_FAILS, 0.0, 3),
        ("FrontThrottlesAlarm", throttles, FRONT_THROTTLED, 0.0, 5),
    ]
    return alarms.each(scope, rows)

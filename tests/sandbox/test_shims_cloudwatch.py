"""Each shim has its gap without it (if not: upstream closed it, remove the shim) and closes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sandbox.helpers import create_stack, resource, template

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target

METRIC = {"Namespace": "AWS/Lambda", "MetricName": "Invocations"}
CALLS = {"Id": "calls", "ReturnData": False}
CALLS |= {"MetricStat": {"Metric": METRIC, "Period": 60, "Stat": "Sum"}}


def test_an_alarm_on_metric_math_is_made_and_is_quiet(
    shared: Target, without_shims: Target
) -> None:
    alarm = resource(
        "CloudWatch::Alarm",
        AlarmName="nobody-calls",
        Metrics=[CALLS, {"Id": "none", "Expression": "FILL(calls, 0) == 0"}],
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        TreatMissingData="notBreaching",
    )
    made = template({"Alarm": alarm})
    with pytest.raises(Exception, match="ROLLBACK"):
        create_stack(without_shims, "math", made)  # else upstream takes it: remove the shim

    create_stack(shared, "math", made)
    found = shared.client("cloudwatch").describe_alarms(AlarmNames=["nobody-calls"])
    assert found["MetricAlarms"][0]["StateValue"] != "ALARM"

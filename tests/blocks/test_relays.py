"""What tells of a relay that is not called: it reports neither errors nor the age of what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import CfnParameter, Duration
from aws_cdk.assertions import Template

from serverless_patterns.patterns.blocks.alarms import Alarms
from serverless_patterns.patterns.blocks.relays import Relay, run_relay, watch_reader
from serverless_patterns.patterns.blocks.sweeps import Sweep
from serverless_patterns.patterns.blocks.tables import TableSettings, table_of
from tests.inline import function, rejected

if TYPE_CHECKING:
    from aws_cdk import Stack


def stopped(stack: Stack) -> dict[str, Any]:
    """Return the alarm on a relay that does not run."""
    found = Template.from_stack(stack).find_resources("AWS::CloudWatch::Alarm")
    alarms = {name: dict(alarm["Properties"]) for name, alarm in found.items()}
    return next(alarm for name, alarm in alarms.items() if name.startswith("RelayStoppedAlarm"))


def minutes(count: float) -> Duration:
    return Duration.minutes(count)


@pytest.mark.parametrize(("every", "after"), [(1, 15), (10, 30), (60, 180), (600, 1440)])
def test_a_relay_whose_schedule_is_disabled_is_missed_after_three_runs(
    stack: Stack, every: int, after: int
) -> None:
    run_relay(stack, Relay(function(stack), minutes(every)), Alarms())
    alarm = stopped(stack)
    assert (alarm["MetricName"], alarm["EvaluationPeriods"]) == ("Invocations", after)
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert alarm["TreatMissingData"] == "breaching", "a function that is not called has no data"


@pytest.mark.parametrize("settings", [Relay, Sweep])
@pytest.mark.parametrize("every", [0, 30, 90])
def test_a_rate_that_is_not_of_whole_minutes_is_rejected(
    stack: Stack, settings: Any, every: int
) -> None:
    with rejected(f"every is {every} s; EventBridge runs a function every so many whole minutes"):
        settings(function(stack), Duration.seconds(every))


def test_a_rate_that_only_deployment_knows_is_rejected(stack: Stack) -> None:
    given = CfnParameter(stack, "Given", type="Number").value_as_number
    with rejected("every is known at deployment only; EventBridge"):
        Relay(function(stack), Duration.seconds(given))


def test_items_that_are_put_while_no_reader_is_called_are_told_of(stack: Stack) -> None:
    table = table_of(stack, "Orders", TableSettings(), "pk", "sk", reason="")
    watch_reader(stack, function(stack), table, Alarms())
    alarm = stopped(stack)
    said = {one["Id"]: one for one in alarm["Metrics"]}
    watched = {id_: one["MetricStat"] for id_, one in said.items() if "MetricStat" in one}
    names = {id_: it["Metric"]["MetricName"] for id_, it in watched.items()}
    assert names == {"put": "SuccessfulRequestLatency", "calls": "Invocations"}
    assert {it["Period"] for it in watched.values()} == {900}
    assert watched["put"]["Stat"] == "SampleCount", "how many were put; a failed one is none"
    operation = {"Name": "Operation", "Value": "PutItem"}
    assert operation in watched["put"]["Metric"]["Dimensions"]
    [result] = [one for one in said.values() if one.get("ReturnData", True)]
    assert result["Expression"] == "IF(FILL(put, 0) > 0 AND FILL(calls, 0) == 0, 1, 0)"
    assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (2, 8)

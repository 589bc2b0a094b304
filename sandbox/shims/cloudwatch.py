"""CloudWatch: alarms of a template."""

from __future__ import annotations

from typing import Any

from ._forward import around, ministack

GAPS = {
    "cloudwatch-metric-math": "An alarm on metric math in a template fails the deployment.",
}


def metric_math() -> None:
    """Make an alarm on metric math with what CloudWatch takes of it: nothing computes its metric.

    So it never changes, which ``unsupported.py`` says.
    """

    @around(ministack("services.cloudformation.provisioners"), "_cw_metric_alarm_record")
    def record(original: Any, name: str, properties: dict[str, Any]) -> Any:
        if not properties.get("Metrics"):
            return original(name, properties)
        rest = {key: value for key, value in properties.items() if key != "Metrics"}
        return original(name, {**rest, "MetricName": "Expression", "Namespace": "MetricMath"})


SHIMS = {"cloudwatch-metric-math": metric_math}

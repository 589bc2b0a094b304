"""Asynchronous invocation of functions."""

from __future__ import annotations

from serverless_patterns.patterns.checks import lambda_

from ..template import Finding, Findings, Resource, Scenario, is_unknown, rule


@rule("E9189", "lambda", shared=lambda_.two_configurations)
def two_configurations(scenario: Scenario) -> Findings:
    """A function must have one configuration of asynchronous invocation for each qualifier.

    A second AWS::Lambda::EventInvokeConfig of the same function and Qualifier replaces the first:
    its retries and destinations are lost. Put them into one.
    """
    first: dict[tuple[str, str], Resource] = {}
    for config in scenario.of("AWS::Lambda::EventInvokeConfig"):
        function = scenario.function(config.get("FunctionName"))
        if function is None:
            continue
        qualifier = config.get("Qualifier") or function.get("AutoPublishAlias") or "$LATEST"
        if is_unknown(qualifier) and not scenario.find(qualifier):
            continue
        one = first.setdefault((function.id, str(qualifier)), config)
        if one is not config:
            name = f"{function} ({scenario.name(qualifier, 'a version')})"
            yield Finding(config, lambda_.two_configurations(name, one, config), ("FunctionName",))

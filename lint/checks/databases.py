"""Databases that functions cannot reach."""

from __future__ import annotations

from serverless_patterns.patterns.checks import aurora

from .. import policies
from ..template import Finding, Findings, Scenario, as_list, is_unknown, rule

CLUSTER, STATEMENT = "AWS::RDS::DBCluster", "rds-data:ExecuteStatement"
POLICIES = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy")


@rule("E9241", "rds", "iam", shared=aurora.no_data_api)
def data_api(scenario: Scenario) -> Findings:
    """A cluster that a role may run statements of by the Data API must have it.

    Without the Data API every ExecuteStatement fails, and so does every request that waits for it.
    Set EnableHttpEndpoint.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.html
    """
    for policy in scenario.of(*POLICIES):
        for statement in policies.statements(policy.get("PolicyDocument")) or []:
            if statement.get("Effect") != "Allow" or not policies.is_action(statement, STATEMENT):
                continue
            for named in as_list(statement.get("Resource")):
                cluster = scenario.find(named, CLUSTER)
                if cluster and not is_unknown(enabled := cluster.get("EnableHttpEndpoint")):
                    on = str(enabled).lower() == "true"
                    problem = aurora.no_data_api(cluster, enabled=on)
                    yield Finding(cluster, problem, ("EnableHttpEndpoint",))

"""A cluster is encrypted, private and without a password of ours; yours is used or rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Template

from serverless_patterns.patterns.blocks.aurora import NewAurora, cluster_of, grant_data_api
from tests.inline import granted, only, properties, rejected
from tests.stacks import synthesize_and_validate
from tests.test_templates import findings

if TYPE_CHECKING:
    from pathlib import Path

DESTROY = RemovalPolicy.DESTROY


def own(stack: Stack, **settings: Any) -> rds.DatabaseCluster:
    version = rds.AuroraPostgresEngineVersion.VER_16_11
    engine = rds.DatabaseClusterEngine.aurora_postgres(version=version)
    writer = rds.ClusterInstance.serverless_v2("Writer")
    vpc = ec2.Vpc(stack, "Vpc", restrict_default_security_group=False)
    return rds.DatabaseCluster(stack, "Own", engine=engine, writer=writer, vpc=vpc, **settings)


def imported(stack: Stack, **more: Any) -> rds.IDatabaseCluster:
    attributes = {"cluster_identifier": "theirs", **more}
    return rds.DatabaseCluster.from_database_cluster_attributes(stack, "Theirs", **attributes)


def test_a_new_cluster_is_encrypted_takes_tls_only_and_has_a_password_that_nobody_knows(
    stack: Stack,
) -> None:
    cluster_of(stack, "Database", NewAurora())
    template = Template.from_stack(stack)
    (resource,) = template.find_resources("AWS::RDS::DBCluster").values()
    made = resource["Properties"]
    assert made["StorageEncrypted"] is made["ManageMasterUserPassword"] is True
    assert "MasterUserPassword" not in made
    assert only(template, "AWS::RDS::DBClusterParameterGroup")["Parameters"] == {
        "rds.force_ssl": "1"
    }
    assert (resource["DeletionPolicy"], made["DeletionProtection"]) == ("Retain", True)
    assert made["BackupRetentionPeriod"] == 7
    assert made["EnableHttpEndpoint"] is True


def test_a_new_cluster_is_private_and_costs_no_capacity_and_no_nat_while_nobody_uses_it(
    stack: Stack,
) -> None:
    cluster_of(stack, "Database", NewAurora())
    made = only(Template.from_stack(stack), "AWS::RDS::DBCluster")
    assert made["ServerlessV2ScalingConfiguration"] == {
        "MinCapacity": 0, "MaxCapacity": 2, "SecondsUntilAutoPause": 300,
    }  # fmt: skip
    for way_out in ("NatGateway", "InternetGateway", "VPCEndpoint", "SecurityGroupIngress"):
        assert properties(stack, f"EC2::{way_out}") == []
    (group,) = properties(stack, "EC2::SecurityGroup")
    assert "SecurityGroupIngress" not in group
    assert [rule["CidrIp"] for rule in group["SecurityGroupEgress"]] == ["255.255.255.255/32"]
    (instance,) = properties(stack, "RDS::DBInstance")
    assert instance["PubliclyAccessible"] is False


def test_every_setting_reaches_the_new_cluster(stack: Stack) -> None:
    subnets = ec2.SubnetConfiguration(name="In", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    vpc = ec2.Vpc(stack, "Mine", subnet_configuration=[subnets])
    key = kms.Key(stack, "Key")
    given: dict[str, Any] = {"min_capacity": 0.5, "max_capacity": 8, "encryption_key": key}
    new = NewAurora(database="shop", vpc=vpc, removal_policy=DESTROY, **given)
    cluster_of(stack, "Database", new)
    made = only(Template.from_stack(stack), "AWS::RDS::DBCluster")
    assert made["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0.5, "MaxCapacity": 8}
    assert (made["DatabaseName"], made["DeletionProtection"]) == ("shop", False)
    assert stack.resolve(key.key_arn) == made["KmsKeyId"]
    assert len(properties(stack, "EC2::VPC")) == 1


def test_cdk_nag_has_no_finding_in_a_new_cluster(
    cdk_context: dict[str, Any], tmp_path: Path
) -> None:
    app = App(outdir=str(tmp_path), context=cdk_context)
    cluster_of(Stack(app, "kept"), "Database", NewAurora())
    cluster_of(Stack(app, "removed"), "Database", NewAurora(removal_policy=DESTROY))
    synthesize_and_validate(app)
    found = findings(tmp_path)
    assert not any(found.values()), found


def test_your_own_cluster_is_used_by_those_calls_that_are_needed(stack: Stack) -> None:
    given = own(stack, enable_data_api=True)
    role = iam.Role(stack, "Reader", assumed_by=iam.AccountRootPrincipal())
    assert cluster_of(stack, "Database", given) is given
    grant_data_api(given, role)
    found = {action for action, _ in granted(Template.from_stack(stack), "Reader")}
    assert found == {"rds-data:ExecuteStatement", "secretsmanager:GetSecretValue"}


def test_an_imported_cluster_with_its_secret_is_used(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    secret = secretsmanager.Secret(stack, "Secret", encryption_key=key)
    theirs = imported(stack, data_api_enabled=True, secret=secret)
    role = iam.Role(stack, "Reader", assumed_by=iam.AccountRootPrincipal())
    grant_data_api(cluster_of(stack, "Database", theirs), role, transactions=True)
    found = {action for action, _ in granted(Template.from_stack(stack), "Reader")}
    assert {"rds-data:CommitTransaction", "kms:Decrypt"} < found


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (lambda it: own(it), "database Stack/Own has no Data API"),
        (lambda it: imported(it, data_api_enabled=True), "database Stack/Theirs has no secret"),
        (lambda _: NewAurora(database="car-parts"), "database is 'car-parts'; it must be"),
        (lambda _: NewAurora(database="1st"), "database is '1st'; it must be"),
        (lambda _: NewAurora(database=64 * "a"), "it must be 1 to 63 letters"),
        (lambda _: NewAurora(min_capacity=0.3), "capacity is 0.3 to 2 ACUs"),
        (lambda _: NewAurora(max_capacity=0.5), "capacity is 0 to 0.5 ACUs"),
        (lambda _: NewAurora(min_capacity=4, max_capacity=2), "capacity is 4 to 2 ACUs"),
        (lambda _: NewAurora(max_capacity=512), "capacity is 0 to 512 ACUs. It must be 0 to 256"),
        (lambda _: "database", "database"),
    ],
)
def test_a_cluster_that_no_function_could_reach_is_rejected(
    stack: Stack, given: Any, problem: str
) -> None:
    with rejected(problem):
        cluster_of(stack, "Database", given(stack))

"""An Aurora PostgreSQL cluster that functions reach by the Data API alone; or yours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_rds as rds

from ..checks import aurora as checks
from ..checks import reject
from ..limits import AURORA_DATABASE_NAME, AURORA_MAX_CAPACITY, AURORA_PAUSE
from . import keys
from .findings import acknowledge
from .places import check_here, check_key_here
from .values import Path, child_of, expect, expect_fields, is_token, number, seconds, stack_of

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms
    from constructs import Construct

PAUSE = seconds(AURORA_PAUSE)
BACKUPS = Duration.days(7)
ISOLATED = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
TRANSACTIONS = ("BeginTransaction", "CommitTransaction", "RollbackTransaction")
HERE = "functions use it with permissions of this account. Make this construct there."


@dataclass(frozen=True, kw_only=True)
class NewAurora:
    """Settings of a new Aurora PostgreSQL cluster, Serverless v2, with one instance.

    It is encrypted, takes TLS only, is in subnets without a way out or in, and its password is
    made, kept and rotated by AWS. Functions reach it by the Data API, so that they need no network.

    Attributes:
        database: Name of its database, up to 63 letters, digits and ``_``. Default: ``app``.
        min_capacity: Least capacity in ACUs, in steps of 0.5; with 0 it pauses after 5 minutes in
            which nobody has used it, and the first call afterwards fails while it resumes. Default:
            0.
        max_capacity: Most capacity, 1 to 256. Default: 2.
        vpc: Network with isolated subnets in two zones. Default: a new one, without NAT.
        encryption_key: Customer managed key. Default: that of AWS.
        removal_policy: What becomes of it when the stack is deleted. Default: RETAIN, which also
            protects it from deletion.

    Raises:
        ValueError: a name or a capacity that Aurora rejects, or a key that encrypts nothing.
    """

    database: str = "app"
    min_capacity: float = 0
    max_capacity: float = 2
    vpc: ec2.IVpc | None = None
    encryption_key: kms.IKey | None = None
    removal_policy: RemovalPolicy = RemovalPolicy.RETAIN

    def __post_init__(self) -> None:
        """Reject what Aurora rejects.

        Source:
        https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ServerlessV2ScalingConfiguration.html
        """
        expect_fields(
            self,
            database=(str,),
            min_capacity=(int, float),
            max_capacity=(int, float),
            vpc=("IVpc", None),
            encryption_key=("IKey", None),
            removal_policy=(RemovalPolicy,),
        )
        keys.check_key("encryption_key", self.encryption_key)
        spelled = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.database)
        if not is_token(self.database) and not (
            spelled and len(self.database) <= AURORA_DATABASE_NAME
        ):
            raise ValueError(
                f"database is {self.database!r}; it must be 1 to {AURORA_DATABASE_NAME} letters, "
                "digits and _, of which the first is a letter."
            )
        low, high = number(self.min_capacity), number(self.max_capacity)
        if low is None or high is None:
            return
        steps = (2 * low) % 1 == (2 * high) % 1 == 0
        if not (0 <= low <= high and 1 <= high <= AURORA_MAX_CAPACITY and steps):
            raise ValueError(
                f"The capacity is {low:g} to {high:g} ACUs. It must be 0 to {AURORA_MAX_CAPACITY}, "
                "in halves, and at least 1 as the most."
            )


def cluster_of(
    scope: Construct, construct_id: str, database: rds.IDatabaseCluster | NewAurora
) -> rds.IDatabaseCluster:
    """Make a new cluster, or return yours if functions can reach it by the Data API.

    Raises:
        ValueError: yours is of another account or Region, without the Data API, or without a
            secret.
    """
    if not isinstance(database, NewAurora):
        _check_own(scope, database)
        return database
    check_key_here(scope, database.encryption_key)
    keeps = database.removal_policy is RemovalPolicy.RETAIN
    vpc = database.vpc or _network(scope)
    cluster = rds.DatabaseCluster(
        scope,
        construct_id,
        engine=rds.DatabaseClusterEngine.aurora_postgres(
            version=rds.AuroraPostgresEngineVersion.VER_16_11
        ),
        writer=rds.ClusterInstance.serverless_v2("Writer"),
        serverless_v2_min_capacity=database.min_capacity,
        serverless_v2_max_capacity=database.max_capacity,
        serverless_v2_auto_pause_duration=None if database.min_capacity else PAUSE,
        vpc=vpc,
        vpc_subnets=ISOLATED,
        security_groups=[
            ec2.SecurityGroup(
                scope,
                f"{construct_id}Group",
                vpc=vpc,
                description="Nobody connects: functions use the Data API",
                allow_all_outbound=False,
            )
        ],
        default_database_name=database.database,
        enable_data_api=True,
        manage_master_user_password=True,
        iam_authentication=True,
        storage_encrypted=True,
        storage_encryption_key=database.encryption_key,
        parameters={"rds.force_ssl": "1"},
        backup=rds.BackupProps(retention=BACKUPS),
        cloudwatch_logs_exports=["postgresql"],
        deletion_protection=keeps,
        removal_policy=database.removal_policy,
    )
    acknowledge(
        cluster,
        "AwsSolutions::AwsSolutions-RDS11",
        "No port is open, so it hides nothing to use another one.",
    )
    if not keeps:
        acknowledge(
            cluster, "AwsSolutions::AwsSolutions-RDS10", "It is to be removed with its stack."
        )
    return cluster


def _network(scope: Construct) -> ec2.Vpc:
    vpc = ec2.Vpc(
        scope,
        "Network",
        max_azs=2,
        nat_gateways=0,
        restrict_default_security_group=False,
        subnet_configuration=[
            ec2.SubnetConfiguration(
                name="Database", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=28
            )
        ],
    )
    acknowledge(
        vpc,
        "AwsSolutions::AwsSolutions-VPC7",
        "Nothing is in this network but the cluster, which nobody connects to.",
    )
    return vpc


def _check_own(scope: Construct, cluster: rds.IDatabaseCluster) -> None:
    """Reject a cluster that functions cannot reach.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.html
    """
    expect("database", cluster, "IDatabaseCluster")
    path = Path(cluster)
    check_here(scope, Path(cluster, "database "), cluster, HERE)
    resource: Any = child_of(cluster)
    if isinstance(resource, rds.CfnDBCluster):
        enabled = stack_of(cluster).resolve(resource.enable_http_endpoint) is True
        reject(checks.no_data_api(Path(cluster, "database "), enabled=enabled))
    if secret_of(cluster) is None:
        raise ValueError(
            f"database {path} has no secret, which the Data API asks for. Let RDS make it "
            "(manage_master_user_password=True), or import the cluster with secret."
        )


def secret_of(cluster: rds.IDatabaseCluster) -> Any:
    """Return the secret by which functions use a cluster; None if it has none."""
    return getattr(cluster, "secret", None)


def grant_data_api(
    cluster: rds.IDatabaseCluster, grantee: iam.IGrantable, *, transactions: bool = False
) -> iam.Grant:
    """Let ``grantee`` run statements, and with ``transactions`` several that are one; no more.

    The CDK's own ``grant_data_api_access`` adds what nobody here needs.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.access.html
    """
    secret = secret_of(cluster)
    if secret.encryption_key:
        secret.encryption_key.grant_decrypt(grantee)
    actions = ("ExecuteStatement", *(TRANSACTIONS if transactions else ()))
    of_secret = ["secretsmanager:GetSecretValue"]
    grant = iam.Grant.add_to_principal(
        grantee=grantee, actions=of_secret, resource_arns=[secret.secret_arn]
    )
    return grant.combine(
        iam.Grant.add_to_principal(
            grantee=grantee,
            actions=[f"rds-data:{action}" for action in actions],
            resource_arns=[cluster.cluster_arn],
        )
    )

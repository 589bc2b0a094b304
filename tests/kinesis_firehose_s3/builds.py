"""How the contract suites make the construct."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Duration

from serverless_patterns.patterns.kinesis_firehose_s3.construct import (
    DirectPut,
    KinesisToFirehoseToS3,
    Lake,
    Raw,
    Table,
)
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack

COLUMNS = {"click_id": "string", "clicked_at": "timestamp"}


def make(stack: Stack, construct_id: str = "Pattern", **settings: Any) -> KinesisToFirehoseToS3:
    if "transform" not in settings:
        timeout = Duration.seconds(60)
        settings["transform"] = function(stack, f"{construct_id}Transform", timeout=timeout)
    return KinesisToFirehoseToS3(stack, construct_id, **settings)


def make_table(stack: Stack, construct_id: str = "Pattern", **settings: Any) -> Any:
    lake = Lake("clicks/", "failed/", table=Table(COLUMNS), keep_source=True)
    return make(stack, construct_id, lake=lake, **settings)


def make_direct(stack: Stack, construct_id: str = "Pattern", **settings: Any) -> Any:
    lake = Lake(files=Raw())
    return make(stack, construct_id, transform=None, stream=DirectPut(), lake=lake, **settings)


TAKES = frozenset({"alarms"})
BUILDS = [
    Build("kinesis_firehose_s3", make, TAKES | {"lake"}),
    Build("kinesis_firehose_s3 table", make_table, TAKES),
    Build("kinesis_firehose_s3 direct", make_direct, TAKES),
]

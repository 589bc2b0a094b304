"""A lake that Firehose would not write or that Athena would misread is rejected."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import CfnParameter, Duration, Size, Stack

from serverless_patterns.patterns.blocks.firehose import Buffering
from serverless_patterns.patterns.blocks.lakes import JsonLines, Lake, Raw, Table
from tests.inline import rejected

COLUMNS = {"click_id": "string", "clicked_at": "timestamp"}
COUNTRY = ["country"]
MIXED = "would also read what is stored there"
FOLDED = "fold names to lower case"
LAKES: list[tuple[dict[str, Any], str | None]] = [
    # A buffer too small for Parquet or partitions
    ({"columns": COLUMNS, "size": 63}, "converts.*it must be 64 to 128 MiB"),
    ({"columns": COLUMNS, "size": 64, "seconds": 0}, None),
    ({"partition_keys": COUNTRY, "size": 63}, "partitions.*it must be 64 to 128 MiB"),
    ({"partition_keys": COUNTRY, "seconds": 59}, "partitions.*it must be 60 to 900 s"),
    ({"partition_keys": COUNTRY, "size": 64, "seconds": 60}, None),
    # A prefix that is no folder
    *(
        ({name: prefix}, f"^{name} is .*it must be a folder")
        for name in ("prefix", "error_prefix")
        for prefix in ("data", "/data/", "data//", "", "a/!{firehose:x}/", "clïcks/", "./", "a/../")
    ),
    # Errors that a query would read as data, or data as errors
    ({"error_prefix": "data/errors/"}, MIXED),
    ({"prefix": "errors/clicks/"}, MIXED),
    ({"error_prefix": "data/"}, MIXED),
    ({"error_prefix": "source/"}, None),
    ({"error_prefix": "source/", "keep_source": True}, MIXED),
    # A table that Athena would not read
    ({"columns": {}}, "columns is empty"),
    ({"columns": {"ClickId": "string"}}, FOLDED),
    ({"columns": {"click-id": "string"}}, FOLDED),
    ({"columns": {"day": "string"}}, "already as a partition"),
    ({"columns": {"country": "string"}, "partition_keys": COUNTRY}, "country.*as a partition"),
    ({"partition_keys": ["Country"]}, FOLDED),
    ({"partition_keys": ["day"]}, "the day of arrival already"),
    ({"partition_keys": ["a", "a"]}, "each is allowed once"),
]


@pytest.mark.parametrize(("settings", "problem"), LAKES, ids=str)
def test_a_lake_that_firehose_would_not_write_or_athena_would_misread_is_rejected(
    settings: dict[str, Any], problem: str | None
) -> None:
    given = dict(settings)
    size, wait = given.pop("size", 128), given.pop("seconds", 300)
    buffering = Buffering(size=Size.mebibytes(size), interval=Duration.seconds(wait))
    with rejected(problem):
        if "columns" in given:
            given["table"] = Table(given.pop("columns"))
        Lake(buffering=buffering, **given)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"columns": {"a": "strng"}}, r"columns\['a'\] has the type 'strng'.*at character 1"),
        ({"columns": {"a": "int", "b": "array<integer>"}}, r"columns\['b'\].*\(use int\)"),
        ({"database_name": "My-Shop"}, f"database_name has 'My-Shop'.*{FOLDED}"),
        ({"file_format": "AVRO"}, "file_format is 'AVRO'; it must be PARQUET, ORC"),
        ({"file_format": "ORC", "database_name": "shop"}, None),
    ],
)
def test_a_table_that_sends_every_record_to_the_error_prefix_is_rejected(
    settings: dict[str, Any], problem: str | None
) -> None:
    with rejected(problem):
        Table(**{"columns": COLUMNS} | settings)


def test_names_and_types_that_only_deployment_knows_are_accepted(stack: Stack) -> None:
    known_later = CfnParameter(stack, "Later").value_as_string
    Lake(known_later, table=Table({"a": known_later}, database_name=known_later))


def test_files_beside_a_table_are_rejected() -> None:
    with rejected("files is Raw.*but a table's files are PARQUET"):
        Lake(table=Table(COLUMNS), files=Raw())


@pytest.mark.parametrize(
    ("compression", "name"),
    [
        ("GZIP", ".jsonl.gz"),
        ("HADOOP_SNAPPY", ".jsonl.snappy"),
        ("ZIP", ".jsonl.zip"),
        ("UNCOMPRESSED", ".jsonl"),
        ("Snappy", None),
    ],
)
def test_json_lines_are_named_as_athena_knows_their_compression(
    compression: Any, name: str | None
) -> None:
    expected = {"compression_format": compression, "file_extension": name}
    assert JsonLines(compression).format == expected


@pytest.mark.parametrize("extension", ["bin", ".BIN", ".", ".a/b", ".x" * 65])
def test_files_that_firehose_does_not_have_are_rejected(extension: str) -> None:
    with rejected("it must begin with a dot"):
        Raw(file_extension=extension)
    for files in (JsonLines, Raw):
        with rejected("compression is 'SNAPPY'; it must be GZIP, HADOOP_SNAPPY, Snappy, ZIP, UNC"):
            files(compression="SNAPPY")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "settings", "problem"),
    [
        (Lake, {"prefix": None}, "prefix is None; it must be of type str"),
        (Lake, {"error_prefix": ["a/"]}, r"error_prefix is \['a/'\]"),
        (Lake, {"table": COLUMNS}, "table is .* it must be of type Table"),
        (Lake, {"partition_keys": "country"}, "partition_keys is 'country'; .* list or tuple"),
        (Lake, {"partition_keys": [3]}, "A name in partition_keys is 3"),
        (Lake, {"files": "GZIP"}, "files is 'GZIP'; it must be of type JsonLines or Raw"),
        (Table, {"columns": ["a"]}, r"columns is \['a'\]; it must be of type Mapping"),
        (Table, {"columns": {"a": 3}}, r"columns\['a'\] is 3; it must be of type str"),
        (Table, {"columns": {3: "int"}}, "A name in columns is 3"),
        (Table, {"columns": COLUMNS, "database_name": 3}, "database_name is 3; .* of type str"),
    ],
)
def test_a_lake_of_wrong_types_is_rejected_by_the_name_of_the_argument(
    kind: Any, settings: dict[str, Any], problem: str
) -> None:
    with rejected(problem):
        kind(**settings)

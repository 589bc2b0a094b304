"""A lake in S3: how it is laid out, in values that reject what nobody could read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..checks import firehose as checks
from ..checks import glue as glue_checks
from ..checks import period, reject
from ..limits import FIREHOSE_FILE_EXTENSION, GLUE_NAME_LENGTH
from .alarms import LONGEST_DEFAULT_AGE, Alarms
from .firehose import ARRIVED, DAY, Buffering, in_mebibytes
from .values import expect, expect_fields, in_seconds, is_token, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aws_cdk import Duration

SOURCE_PREFIX = "source/"
DEFAULT_BUFFERING = Buffering()
Compression = Literal["GZIP", "HADOOP_SNAPPY", "Snappy", "ZIP", "UNCOMPRESSED"]
# Athena knows a compression by these; Firehose itself names objects of Hadoop's Snappy .hsnappy.
# https://docs.aws.amazon.com/athena/latest/ug/compression-formats.html and
# https://docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html
ENDINGS = {"GZIP": ".gz", "HADOOP_SNAPPY": ".snappy", "ZIP": ".zip", "UNCOMPRESSED": ""}

_COLUMN = re.compile(rf"[a-z_][a-z0-9_]{{0,{GLUE_NAME_LENGTH - 1}}}")
_EXTENSION = re.compile(rf"\.[0-9a-z!\-_.*'()]{{1,{FIREHOSE_FILE_EXTENSION - 1}}}")
LONGEST_FOLDER = 200
_FOLDER = re.compile(rf"(?!/)(?!.*//)(?!(.*/)?\.\.?/)[A-Za-z0-9._=/-]{{1,{LONGEST_FOLDER}}}/")


def _check_choice(argument: str, value: object, *choices: str) -> None:
    if value not in choices:
        raise ValueError(f"{argument} is {value!r}; it must be {', '.join(choices)}.")


@dataclass(frozen=True)
class Table:
    """The lake as Parquet or ORC, with a table that Athena can query.

    Firehose converts JSON: a record that does not fit the columns goes to the error prefix, and a
    field that is no column is left out.

    Attributes:
        columns: Type of each column, such as ``{"id": "string", "at": "timestamp"}``, as Hive
            writes it: ``array<struct<sku:string,price:decimal(9,2)>>``.
        database_name: Your own Glue database. Default: a new one.
        file_format: ``PARQUET`` or ``ORC``, both compressed with Snappy. Default: ``PARQUET``.

    Raises:
        ValueError: no column, a type that Hive does not know, or a name that Glue or Athena would
            change.
    """

    columns: Mapping[str, str]
    database_name: str | None = None
    file_format: Literal["PARQUET", "ORC"] = "PARQUET"

    def __post_init__(self) -> None:
        """Reject a table that Athena would not read as it is meant."""
        expect("columns", self.columns, Mapping)
        expect("database_name", self.database_name, str, None)
        _check_choice("file_format", self.file_format, "PARQUET", "ORC")
        if not self.columns:
            raise ValueError(
                "columns is empty, but a table needs at least one. Leave the table out for "
                "compressed JSON lines."
            )
        _check_names("columns", self.columns)
        if self.database_name is not None and not is_token(self.database_name):
            _check_names("database_name", [self.database_name])
        for name, kind in self.columns.items():
            expect(f"columns[{name!r}]", kind, str)
            if not is_token(kind):
                reject(glue_checks.column_type(f"columns[{name!r}]", kind))


@dataclass(frozen=True)
class JsonLines:
    """Objects of JSON, one record a line.

    The transform ends each record with a newline; without a transform, Firehose does.

    Attributes:
        compression: ``GZIP``, ``HADOOP_SNAPPY``, ``Snappy``, ``ZIP`` or ``UNCOMPRESSED``. Athena
            reads all of them but ``Snappy`` and ``ZIP``. Default: ``GZIP``.
    """

    compression: Compression = "GZIP"

    def __post_init__(self) -> None:
        """Reject a compression that Firehose does not have."""
        _check_choice("compression", self.compression, *get_args(Compression))

    @property
    def format(self) -> dict[str, Any]:
        """The properties of a destination."""
        ending = ENDINGS.get(self.compression)
        extension = None if ending is None else f".jsonl{ending}"
        return {"compression_format": self.compression, "file_extension": extension}


@dataclass(frozen=True)
class Raw:
    """Records as they are, one after the other with nothing between them, text or binary.

    Attributes:
        compression: As of ``JsonLines``. Default: ``UNCOMPRESSED``.
        file_extension: Such as ``.bin``, in lower case. Default: Firehose's own, by the
            compression.
    """

    compression: Compression = "UNCOMPRESSED"
    file_extension: str | None = None

    def __post_init__(self) -> None:
        """Reject what Firehose does not have.

        Source:
        https://docs.aws.amazon.com/firehose/latest/APIReference/API_ExtendedS3DestinationConfiguration.html
        """
        _check_choice("compression", self.compression, *get_args(Compression))
        expect("file_extension", self.file_extension, str, None)
        known = self.file_extension is not None and not is_token(self.file_extension)
        if known and not _EXTENSION.fullmatch(self.file_extension or ""):
            raise ValueError(
                f"file_extension is {self.file_extension!r}; it must begin with a dot and have "
                f"lower-case letters, digits and !-_.*'() only, {FIREHOSE_FILE_EXTENSION} "
                "characters at most, such as '.bin'."
            )

    @property
    def format(self) -> dict[str, Any]:
        """The properties of a destination."""
        return {"compression_format": self.compression, "file_extension": self.file_extension}


DEFAULT_FILES = JsonLines()


@dataclass(frozen=True)
class Lake:
    """How the lake is laid out, and in which form.

    Attributes:
        prefix: Folder of the lake. Default: ``data/``.
        error_prefix: Folder of failed records, by type of failure and day. Default: ``errors/``.
        table: Columns of the table that Athena queries. Default: no table, but ``files``.
        partition_keys: Dynamic partitioning: names of the keys that the transform returns for
            each record; each becomes a folder above the day's. Default: by day alone.
        keep_source: Also store every record as it came, under ``source/``. Default: no.
        buffering: When an object is written.
        files: Form of the objects without a table: ``JsonLines`` or ``Raw``. Default:
            gzip-compressed JSON lines.

    To turn ``partition_keys`` or ``keep_source`` on or off replaces a delivery stream that exists,
    because Firehose sets the first at its creation only and cannot turn the second off. What the
    old one has buffered is deleted with it: see "Change it" on the pattern's page.

    Raises:
        ValueError: folders in which one kind of object would be read as another, names that a
            table cannot have, a buffer that is too small, or files beside a table.
    """

    prefix: str = "data/"
    error_prefix: str = "errors/"
    table: Table | None = None
    partition_keys: Sequence[str] = ()
    keep_source: bool = False
    buffering: Buffering = DEFAULT_BUFFERING
    files: JsonLines | Raw = DEFAULT_FILES

    def __post_init__(self) -> None:
        """Reject a lake that Firehose would not write, or Athena would not read as it is meant."""
        expect_fields(
            self,
            prefix=(str,),
            error_prefix=(str,),
            table=(Table, None),
            partition_keys=(list, tuple),
            keep_source=(bool,),
            buffering=(Buffering,),
            files=(JsonLines, Raw),
        )
        self._check_folders()
        self._check_partitions()
        if self.table and self.files != DEFAULT_FILES:
            raise ValueError(
                f"files is {self.files}, but a table's files are {self.table.file_format}, which "
                "Firehose compresses itself. Leave files out, or the table."
            )
        size, wait = in_mebibytes(self.buffering.size), in_seconds(self.buffering.interval)
        converts, partitions = self.table is not None, bool(self.partition_keys)
        reject(
            checks.large_buffer("The lake", size, wait, converts=converts, partitions=partitions)
        )

    @property
    def folders(self) -> dict[str, str]:
        """Every folder that Firehose writes to, by its name."""
        folders = {"prefix": self.prefix, "error_prefix": self.error_prefix}
        if self.keep_source:
            folders["the source's folder"] = self.source_prefix
        return folders

    @property
    def known_folders(self) -> list[tuple[str, str]]:
        """Those that are known before deployment, each after its name."""
        return [(name, folder) for name, folder in self.folders.items() if not is_token(folder)]

    @property
    def form(self) -> tuple[object, ...]:
        """What two lakes have in common that may share a folder."""
        return self.prefix, self.table, tuple(self.partition_keys), self.files

    @property
    def source_prefix(self) -> str:
        """Where every record is stored unmodified, if it is."""
        return SOURCE_PREFIX + self.prefix

    @property
    def path(self) -> str:
        """Where Firehose writes an object of the lake, in its own expressions."""
        keys = "".join(f"{key}=!{{partitionKeyFromLambda:{key}}}/" for key in self.partition_keys)
        return self.prefix + keys + ARRIVED

    def named(self, construct_id: str) -> str:
        """Return the id of the delivery stream: another one for what cannot be changed in place.

        Source: https://docs.aws.amazon.com/firehose/latest/dev/dynamic-partitioning-enable.html and
        https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-source-record-backup.html
        """
        by_key = "ByKey" if self.partition_keys else ""
        return construct_id + by_key + ("WithSource" if self.keep_source else "")

    @property
    def partitions(self) -> tuple[str, ...]:
        """The partitions of an object, from the outermost folder."""
        return (*self.partition_keys, DAY)

    def max_age(self, alarms: Alarms) -> Duration:
        """Return the age of a record from which an alarm goes off.

        Source: https://docs.aws.amazon.com/firehose/latest/APIReference/API_BufferingHints.html

        Raises:
            ValueError: it would go off while everything is well.
        """
        wait = in_seconds(self.buffering.interval) or 0
        if alarms.max_age is None:
            return seconds(max(LONGEST_DEFAULT_AGE, 2 * wait))
        age = in_seconds(alarms.max_age)
        if age is not None and age <= wait:
            raise ValueError(
                f"max_age is {period(age)}, but Firehose buffers records for {period(wait)} before "
                "it delivers them, so the alarm would go off all the time. Raise max_age above the "
                "buffering interval."
            )
        return alarms.max_age

    def _check_folders(self) -> None:
        """Reject folders in which one kind of object would be read as another.

        Source: https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html
        """
        known = self.known_folders
        for name, folder in known:
            if not _FOLDER.fullmatch(folder):
                raise ValueError(
                    f"{name} is {folder!r}; it must be a folder such as 'clicks/', of letters, "
                    f"digits, . _ = - and /, up to {LONGEST_FOLDER}, with / at its end and not at "
                    "its start. Leave Firehose's expressions (!{...}) out: they are added here."
                )
        for (name, folder), (other, below) in permutations(known, 2):
            reject(checks.folder_within(name, folder, other, below))

    def _check_partitions(self) -> None:
        """Reject partition keys that cannot be columns of a table beside the others.

        Source: https://docs.aws.amazon.com/athena/latest/ug/tables-databases-columns-names.html
        """
        names = self.partitions
        _check_names("partition_keys", names)
        if len(set(names)) < len(names):
            raise ValueError(
                f"partition_keys are {', '.join(self.partition_keys)}: each is allowed once, and "
                f"{DAY!r} is the day of arrival already. Rename one."
            )
        if both := sorted(set(self.table.columns if self.table else ()).intersection(names)):
            raise ValueError(
                f"columns has {', '.join(both)}, which the path of an object gives already as a "
                "partition: Athena rejects a table with the same name twice. Rename the column."
            )


def _check_names(argument: str, names: Iterable[str]) -> None:
    """Reject names that Glue and Athena would change.

    Source: https://docs.aws.amazon.com/athena/latest/ug/tables-databases-columns-names.html
    """
    for name in names:
        expect(f"A name in {argument}", name, str)
        if not _COLUMN.fullmatch(name):
            raise ValueError(
                f"{argument} has {name!r}; use lower-case letters, digits and _, because "
                f"Glue and Athena fold names to lower case, up to {GLUE_NAME_LENGTH} characters."
            )

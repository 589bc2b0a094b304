"""A lake in S3: how it is laid out, in values that reject what nobody could read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

from ..checks import firehose as checks
from ..checks import reject
from ..limits import GLUE_NAME_LENGTH
from .alarms import LONGEST_DEFAULT_AGE, Alarms
from .firehose import ARRIVED, DAY, Buffering, in_mebibytes
from .values import in_seconds, is_token, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aws_cdk import Duration

SOURCE_PREFIX = "source/"
DEFAULT_BUFFERING = Buffering()

_COLUMN = re.compile(rf"[a-z_][a-z0-9_]{{0,{GLUE_NAME_LENGTH - 1}}}")
_FOLDER = re.compile(r"(?!/)(?!.*//)[A-Za-z0-9._=/-]{1,200}/")


@dataclass(frozen=True)
class Table:
    """The lake as Parquet, with a table that Athena can query.

    Attributes:
        columns: Glue type of each column, such as ``{"id": "string", "at": "timestamp"}``.
        database_name: Your own Glue database. Default: a new one.

    Raises:
        ValueError: no column, or a name that Glue or Athena would change.
    """

    columns: Mapping[str, str]
    database_name: str | None = None

    def __post_init__(self) -> None:
        """Reject a table that Athena would not read as it is meant."""
        if not self.columns:
            raise ValueError(
                "columns is empty, but a Parquet file needs at least one. Leave the table out for "
                "compressed JSON lines."
            )
        _check_names("columns", self.columns)


@dataclass(frozen=True)
class Lake:
    """How the lake is laid out, and in which form.

    Attributes:
        prefix: Folder of the lake. Default: ``data/``.
        error_prefix: Folder of failed records, by type of failure and day. Default: ``errors/``.
        table: Columns of the table that Athena queries. Default: no table; the lake is
            gzip-compressed JSON lines.
        partition_keys: Dynamic partitioning: names of the keys that the transform returns for
            each record; each becomes a folder above the day's. Default: by day alone.
        keep_source: Also store every record unmodified, under ``source/``. Default: no.
        buffering: When an object is written.

    Raises:
        ValueError: folders in which one kind of object would be read as another, names that a
            table cannot have, or a buffer that is too small.
    """

    prefix: str = "data/"
    error_prefix: str = "errors/"
    table: Table | None = None
    partition_keys: Sequence[str] = ()
    keep_source: bool = False
    buffering: Buffering = DEFAULT_BUFFERING

    def __post_init__(self) -> None:
        """Reject a lake that Firehose would not write, or Athena would not read as it is meant."""
        self._check_folders()
        self._check_partitions()
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
    def source_prefix(self) -> str:
        """Where every record is stored unmodified, if it is."""
        return SOURCE_PREFIX + self.prefix

    @property
    def path(self) -> str:
        """Where Firehose writes an object of the lake, in its own expressions."""
        keys = "".join(f"{key}=!{{partitionKeyFromLambda:{key}}}/" for key in self.partition_keys)
        return self.prefix + keys + ARRIVED

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
                f"max_age is {age:.0f} s, but Firehose buffers records for {wait:g} s before it "
                "delivers them, so the alarm would go off all the time. Raise max_age above the "
                "buffering interval."
            )
        return alarms.max_age

    def _check_folders(self) -> None:
        """Reject folders in which one kind of object would be read as another.

        Source: https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html
        """
        known = {name: folder for name, folder in self.folders.items() if not is_token(folder)}
        for name, folder in known.items():
            if not _FOLDER.fullmatch(folder):
                raise ValueError(
                    f"{name} is {folder!r}; it must be a folder such as 'clicks/', of letters, "
                    "digits, . _ = - and /, with / at its end and not at its start. Leave "
                    "Firehose's expressions (!{...}) out: they are added here."
                )
        for (name, folder), (other, below) in permutations(known.items(), 2):
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
        if not _COLUMN.fullmatch(name):
            raise ValueError(
                f"{argument} has {name!r}; use lower-case letters, digits and _, because "
                f"Glue and Athena fold names to lower case, up to {GLUE_NAME_LENGTH} characters."
            )

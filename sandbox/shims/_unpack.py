"""Unpacks a Python function and its layers once for all its processes, as Lambda mounts them.

MiniStack unpacks them for each process, which then compiles every module that it imports.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ._forward import ministack


def once() -> None:
    """Put a link to a folder that is named by the archive's hash where MiniStack unpacks one."""
    folder, unpacking = Path(tempfile.mkdtemp(prefix="unpacked-")), threading.Lock()

    class Archive(zipfile.ZipFile):
        def extractall(self, path: Any = None, *_: Any, **__: Any) -> None:
            where, archive = Path(path), Path(self.filename or "")
            if not where.with_name("_worker.py").exists():
                super().extractall(where)  # for Node, which gets links to its layers among its code
                return
            unpacked = folder / hashlib.sha256(archive.read_bytes()).hexdigest()
            with unpacking:
                if not unpacked.exists():
                    part = unpacked.with_suffix(".part")
                    super().extractall(part)
                    part.rename(unpacked)
            where.rmdir()
            where.symlink_to(unpacked)

    runtime = ministack("core.lambda_runtime")
    runtime.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": Archive})

"""The layer with what the handlers import, built without Docker and cached."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from aws_cdk import aws_lambda as lambda_

if TYPE_CHECKING:
    from constructs import Construct

RUNTIME = lambda_.Runtime.PYTHON_3_14
ARCHITECTURE = lambda_.Architecture.ARM_64
PYTHON_VERSION = "3.14"
PLATFORM = "aarch64-manylinux_2_28"

LAMBDAS = Path(__file__).resolve().parents[2] / "lambdas"
LOCK = LAMBDAS / "requirements.txt"
# Compiled packages, for the few functions that need one.
COMPILED = LAMBDAS / "compiled.txt"
# Only the runtime that they are compiled for looks here, so another Python takes its own ones.
OF_RUNTIME = f"python/lib/python{PYTHON_VERSION}/site-packages"
CACHE = Path(".build", "layers")
# What differs from install to install and is not needed at run time.
NOT_NEEDED = re.compile(r"/__pycache__/|/bin/|\.dist-info/RECORD$|/\.lock$")


def dependency_layer(scope: Construct, construct_id: str) -> lambda_.LayerVersion:
    """Make the layer with the locked dependencies of the handlers, built without Docker.

    The asset's hash is the hash of the lock and the platform, so an unchanged lock is never
    built or uploaded again. It is one file, which the CDK copies and uploads as it is.

    Raises:
        RuntimeError: the packages could not be installed.
    """
    return _layer(scope, construct_id, LOCK, "python", "Dependencies of the handlers")


def compiled_layer(scope: Construct, construct_id: str) -> lambda_.LayerVersion:
    """Make the layer with the locked compiled packages: see ``dependency_layer``."""
    return _layer(scope, construct_id, COMPILED, OF_RUNTIME, "Compiled packages of the handlers")


def _layer(
    scope: Construct, construct_id: str, locked: Path, folder: str, description: str
) -> lambda_.LayerVersion:
    lock = locked.read_bytes()
    key = hashlib.sha256(lock + PYTHON_VERSION.encode() + PLATFORM.encode()).hexdigest()
    archive = CACHE.resolve() / f"{key[:16]}.zip"
    if not archive.exists():
        build(archive, locked, folder)
    return lambda_.LayerVersion(
        scope,
        construct_id,
        code=lambda_.Code.from_asset(str(archive), asset_hash=key),
        compatible_runtimes=[RUNTIME],
        compatible_architectures=[ARCHITECTURE],
        description=description,
    )


def build(archive: Path, lock: Path | None = None, folder: str = "python") -> None:
    """Install a lock, by default that of all handlers, and pack it into ``archive``.

    The archive appears only when it is complete.
    """
    lock = lock or LOCK
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as temporary:
        packages, packed = Path(temporary, "layer", folder), Path(temporary, archive.name)
        run = subprocess.run(
            [
                str(Path(sysconfig.get_path("scripts"), "uv")), "pip", "install",
                "--quiet", "--python", sys.executable, "--target", str(packages),
                "--python-version", PYTHON_VERSION, "--python-platform", PLATFORM,
                "--only-binary", ":all:", "--require-hashes", "--requirement", str(lock),
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if run.returncode:
            raise RuntimeError(
                f"The handlers' dependencies in {lock} could not be installed: {run.stderr.strip()}"
            )
        _pack(Path(temporary, "layer"), packed)
        packed.replace(archive)  # another synthesis may have been quicker: its file is the same


def _pack(packages: Path, archive: Path) -> None:
    """Pack what is needed at run time, the same bytes each time."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(packages.rglob("*")):
            name = file.relative_to(packages)
            if file.is_file() and not NOT_NEEDED.search(name.as_posix()):
                entry = zipfile.ZipInfo(str(name))  # of 1980, whenever it was installed
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                packed.writestr(entry, file.read_bytes())

"""The layer with what the handlers import, built without Docker and cached."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from aws_cdk import aws_lambda as lambda_

if TYPE_CHECKING:
    from constructs import Construct

RUNTIME = lambda_.Runtime.PYTHON_3_14
PYTHON_VERSION = "3.14"
PLATFORM = "aarch64-manylinux_2_28"

LAMBDAS = Path(__file__).resolve().parents[2] / "lambdas"
LOCK = LAMBDAS / "requirements.txt"
CACHE = Path(".build", "layers")


def dependency_layer(scope: Construct, construct_id: str) -> lambda_.LayerVersion:
    """Make the layer with the locked dependencies of the handlers, built without Docker.

    The asset's hash is the hash of the lock and the platform, so an unchanged lock is never
    built or uploaded again.

    Raises:
        RuntimeError: the packages could not be installed.
    """
    lock = LOCK.read_bytes()
    key = hashlib.sha256(lock + PYTHON_VERSION.encode() + PLATFORM.encode()).hexdigest()
    folder = CACHE.resolve() / key[:16]
    if not folder.exists():
        install(folder)
    return lambda_.LayerVersion(
        scope,
        construct_id,
        code=lambda_.Code.from_asset(str(folder), asset_hash=key),
        compatible_runtimes=[RUNTIME],
        compatible_architectures=[lambda_.Architecture.ARM_64],
        description="Dependencies of the handlers",
    )


def install(folder: Path) -> None:
    """Install the lock into ``folder``, which appears only when it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        run = subprocess.run(
            [
                str(Path(sysconfig.get_path("scripts"), "uv")), "pip", "install",
                "--quiet", "--python", sys.executable, "--target", f"{temporary}/layer/python",
                "--python-version", PYTHON_VERSION, "--python-platform", PLATFORM,
                "--only-binary", ":all:", "--require-hashes", "--requirement", str(LOCK),
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if run.returncode:
            raise RuntimeError(
                f"The handlers' dependencies in {LOCK} could not be installed: {run.stderr.strip()}"
            )
        _make_reproducible(Path(temporary, "layer"))
        try:
            Path(temporary, "layer").rename(folder)
        except OSError:
            if not folder.exists():  # another synth was quicker: its folder is the same
                raise


def _make_reproducible(layer: Path) -> None:
    """Remove what differs from install to install and is not needed at run time."""
    for extra in [
        *layer.rglob("__pycache__"),
        *layer.rglob("bin"),
        *layer.rglob("*.dist-info/RECORD"),
    ]:
        shutil.rmtree(extra) if extra.is_dir() else extra.unlink()
    (layer / "python" / ".lock").unlink(missing_ok=True)

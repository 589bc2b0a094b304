"""Command line of the pattern library: list, try, up, deploy, scenario, destroy, copy.

``python -m serverless_patterns`` lists the patterns; ``--help`` says the rest.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import html
import os
import re
import signal
import sys
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    from rich.console import Console
    from rich.table import Table
except ImportError:
    sys.exit("The commands need rich: install serverless-patterns with its extra 'sandbox'.")

from .patterns import catalog
from .sandbox.errors import SandboxError, disk_is_full
from .terminal import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TextIO

    from .patterns.catalog import Pattern
    from .sandbox import Deployment, Target


# Full, or not ours: nothing that a traceback explains better.
OF_FOLDERS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
MARKS = Path(".build", "up")  # has a file for each `up`, named by its process id; locked by it
UP = """
Then, for example:
{}
What the functions log follows. A changed handler is deployed again. Ctrl-C, or `down`, stops it.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 when everything held."""
    options = _parser().parse_args(arguments)
    console = Console(record=bool(getattr(options, "svg", None)))
    try:
        status: int = options.run(options, console)
    except (ValueError, SandboxError) as error:
        console.print(
            visible(str(error)), style="red", markup=False, highlight=False, soft_wrap=True
        )
        return 2
    except OSError as error:
        if error.errno not in OF_FOLDERS:
            raise
        console.print(f"{error}\n{disk_is_full(str(error))}", style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("Stopped.", style="yellow")
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serverless_patterns", description=__doc__)
    parser.set_defaults(run=list_patterns, pattern=None)
    commands = parser.add_subparsers(title="commands")

    command = commands.add_parser("list", help="list the patterns (the default)")
    command.add_argument("pattern", nargs="?", help="only this one")
    command.set_defaults(run=list_patterns)

    command = commands.add_parser("try", help="deploy and drive on the embedded AWS")
    command.add_argument("pattern", help="a pattern's slug, or all")
    command.add_argument("--endpoint", help="URL of another emulator that runs already")
    command.add_argument("--svg", help="also save what is printed as a picture")
    command.set_defaults(run=try_patterns)

    command = commands.add_parser("up", help="deploy on an embedded AWS that stays, to play with")
    command.add_argument("pattern", nargs="?", help="a pattern's slug; else give --app")
    command.add_argument("--app", help="command that runs a CDK app of yours")
    command.add_argument("--stack", action="append", default=[], help="of it, else all; repeatable")
    command.set_defaults(run=up)

    command = commands.add_parser("down", help="stop what `up` started")
    command.set_defaults(run=down)

    command = commands.add_parser("deploy", help="deploy into the caller's AWS account")
    command.add_argument("pattern")
    command.set_defaults(run=deploy)

    command = commands.add_parser("destroy", help="remove it from the caller's AWS account")
    command.add_argument("pattern")
    command.set_defaults(run=destroy)

    command = commands.add_parser("scenario", help="drive a stack that is already deployed")
    command.add_argument("pattern")
    command.add_argument("--endpoint", help="URL of an emulator, in place of the AWS account")
    command.set_defaults(run=drive_deployed)

    command = commands.add_parser("copy", help="copy a pattern, with all that it needs")
    command.add_argument("pattern")
    command.add_argument("folder", help="a new one, or a CDK project")
    command.set_defaults(run=copy)
    return parser


def list_patterns(options: argparse.Namespace, console: Console) -> int:
    """Print every pattern, or one, with its flow line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for pattern in [catalog.find(options.pattern)] if options.pattern else catalog.patterns():
        table.add_row(f"[bold]{pattern.slug}[/]", pattern.flow)
    console.print(table)
    return 0


def try_patterns(options: argparse.Namespace, console: Console) -> int:
    """Deploy patterns into the embedded AWS and drive their scenarios."""
    from .sandbox import embedded, endpoint

    chosen = catalog.patterns() if options.pattern == "all" else [catalog.find(options.pattern)]
    status = 0
    by_engine = attrgetter("engine")
    for engine, some in groupby(sorted(chosen, key=by_engine), key=by_engine):
        where = endpoint(options.endpoint) if options.endpoint else embedded(engine=engine)
        with where as target:
            status |= _deploy_and_drive(target, [*some], console)
    if status == 0 and len(chosen) == 1:
        _say_what_is_next(chosen[0], console)
    if options.svg:
        save_picture(console, Path(options.svg), f"make try PATTERN={options.pattern}")
    return status


def _say_what_is_next(pattern: Pattern, console: Console) -> None:
    made = Path("Makefile").is_file()
    command = "make {} PATTERN={}" if made else "python -m serverless_patterns {} {}"
    up, deploy, copy = (command.format(name, pattern.slug) for name in ("up", "deploy", "copy"))
    table = Table(title="Next", title_justify="left", box=None, show_header=False)
    table.add_row("read about it", os.path.relpath(pattern.folder / "README.md"))
    table.add_row("play with it", up)
    table.add_row("deploy it", deploy)
    if made:
        table.add_row("copy it", f"{copy} TO=../my-project")
    console.print(table)


def up(options: argparse.Namespace, console: Console) -> int:
    """Deploy on an embedded AWS that stays until Ctrl-C or ``down``; follow logs and handlers."""
    from .sandbox import embedded, play

    if bool(options.pattern) == bool(options.app):
        raise ValueError("Name a pattern, or give --app with the command that runs your CDK app.")
    what: dict[str, Any] = {"app": options.app, "stacks": options.stack}
    engine = "ministack"
    if options.pattern:
        pattern = catalog.find(options.pattern)
        engine = pattern.engine
        what = {"stacks": [pattern.stack_name], "context": {"pattern": pattern.slug}}
    with _marked(), embedded(engine=engine) as target:
        stacks = [*target.deploy(**what).values()]
        console.print("\nPaste this into another shell, or use it as it is:\n", style="bold")
        print(visible(play.shell(target, stacks)))
        text = UP.format("\n".join(play.examples(stacks)))
        console.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)
        folders = [Path.cwd()]
        change: Callable[[], object] = partial(target.deploy, **what, hotswap=True)
        if options.pattern:
            root, code = catalog.FOLDER.parent, ["lambdas/foundation", f"lambdas/{pattern.slug}"]
            folders = [root / folder for folder in code]
            code = ["lambdas/__init__.py", *code]
            change = partial(play.replace_code, stacks[0], root, code, "lambdas.")
        with suppress(KeyboardInterrupt):
            play.stay(stacks, folders, change)
    console.print("Stopped.")
    return 0


def down(_: argparse.Namespace, console: Console) -> int:
    """Stop what ``up`` started from this folder, and wait until it has ended."""
    with ExitStack() as files:
        marks = [files.enter_context(path.open()) for path in MARKS.glob("*")]
        running = [mark for mark in marks if not _lock(mark)]
        if not running:
            raise ValueError("Nothing is up in this folder.")
        for mark in running:
            os.kill(int(Path(mark.name).name), signal.SIGINT)
            fcntl.flock(mark, fcntl.LOCK_EX)
    console.print("Stopped.")
    return 0


@contextmanager
def _marked() -> Iterator[None]:
    """Leave our process id for ``down``, and stop as on Ctrl-C, even in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    MARKS.mkdir(parents=True, exist_ok=True)
    path = MARKS / str(os.getpid())
    with path.open("w") as mark:
        _lock(mark)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _lock(mark: TextIO) -> bool:
    """Lock a file until it is closed, if no other process has; a killed process has not."""
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def save_picture(console: Console, path: Path, title: str) -> None:
    """Save what was printed as an SVG that takes no font from elsewhere and lines up in any."""
    picture = console.export_svg(title=title).replace("Fira Code, monospace", "monospace")
    picture = re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    text = r'x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"([^>]*)>([^<]*)</text>'
    path.write_text(re.sub(rf"(<text [^>]*){text}", _in_cells, picture), encoding="utf-8")


def _in_cells(text: re.Match[str]) -> str:
    """A text of an SVG with a place for each character: not every renderer spaces them itself."""
    start, x, y, width, more, characters = text.groups()
    count = len(html.unescape(characters))
    places = " ".join(f"{float(x) + float(width) * n / count:.1f}" for n in range(count))
    blank = not html.unescape(characters).strip()
    return "" if blank else f'{start}x="{places}" y="{y}"{more}>{characters}</text>'


def deploy(options: argparse.Namespace, _: Console) -> int:
    """Deploy a pattern into the account of the caller's credentials."""
    from .sandbox import aws

    pattern = catalog.find(options.pattern)
    with aws() as target:
        target.deploy(stacks=[pattern.stack_name], context={"pattern": pattern.slug})
    return 0


def destroy(options: argparse.Namespace, console: Console) -> int:
    """Remove a pattern from the account of the caller's credentials."""
    from .sandbox import account, aws

    pattern = catalog.find(options.pattern)
    with aws() as target:
        account.remove(target, pattern.stack_name)
    console.print(f"{pattern.stack_name} is removed.")
    return 0


def drive_deployed(options: argparse.Namespace, console: Console) -> int:
    """Drive the scenario of a stack that is already deployed."""
    from .sandbox import aws, endpoint

    pattern = catalog.find(options.pattern)
    with endpoint(options.endpoint) if options.endpoint else aws() as target:
        return 0 if _drive(pattern, target.deployed(pattern.stack_name), console) else 1


def copy(options: argparse.Namespace, console: Console) -> int:
    """Copy a pattern into a new folder or into a CDK project."""
    pattern = catalog.find(options.pattern)
    try:
        from tools import copy_pattern
    except ImportError as error:  # an installed wheel has neither tests nor a Makefile to copy
        raise ValueError(f"Copying needs a checkout of the whole library: {error}.") from error
    for line in copy_pattern.copy(pattern, options.folder):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0


def _deploy_and_drive(target: Target, chosen: list[Pattern], console: Console) -> int:
    context = {"pattern": chosen[0].slug} if len(chosen) == 1 else {}
    deployments = target.deploy(stacks=[p.stack_name for p in chosen], context=context)
    held = [_drive(pattern, deployments[pattern.stack_name], console) for pattern in chosen]
    return 0 if all(held) else 1


def _drive(pattern: Pattern, deployment: Deployment, console: Console) -> bool:
    from .sandbox.report import Report

    console.rule(f"[bold]{pattern.slug}[/]  {pattern.flow}", align="left")
    report = Report(console)
    pattern.drive(deployment, report)
    held = report.close()
    if not held:
        console.print(f"Logs: {deployment.target.log_dir}", highlight=False, soft_wrap=True)
    return held


def _end_as_on_ctrl_c() -> None:
    """Let a scenario that is terminated, or loses its terminal, restore what it has changed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # not by nohup
            signal.signal(number, signal.default_int_handler)


if __name__ == "__main__":
    _end_as_on_ctrl_c()
    sys.exit(main())

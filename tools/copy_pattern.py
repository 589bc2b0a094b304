"""Copy a pattern, with all that it needs, into a new folder or into a CDK project that exists.

What belongs to a pattern is found by its slug and by following imports. A new project gets the
folders of this one. An existing project gets one folder, ``serverless_patterns``, and one with the
tests, so that they never clash with its own. Nothing that exists is overwritten: files with other
content are listed, and then nothing at all is written.
"""

from __future__ import annotations

import ast
import os
import re
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from serverless_patterns.patterns import catalog
from tools import copy_advice
from tools.copy_advice import APART, CLI

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from serverless_patterns.patterns.catalog import Pattern

PACKAGE = "serverless_patterns"  # here and in a new project, its sub-packages are links
# What makes a folder a project: a new one gets these, one that exists keeps its own.
FRAME = (
    *("requirements.txt", "pyproject.toml", "package.json", "package-lock.json", "Makefile"),
    *("tools/setup.py", "tools/copy_*.py", "conftest.py", "tests/conftest.py"),
    *(f"tests/test_{name}.py" for name in ("pages", "scenarios", "templates", "types")),
    *("lint/checks/*.py", "lint/rules/*.py"),  # which cfn-lint loads, and nothing imports
    *("README.md", "LICENSE", ".gitignore", ".cfnlintrc", "cdk.json", "app.py"),
)
SUITES = ("contracts", "lambdas", "redrive")  # the promises that every pattern keeps
IN_A_REPOSITORY = ("README.md", "LICENSE", ".gitignore")  # before it is a project
CACHES = re.compile(r"__pycache__|\.hypothesis|\..*_cache|\.DS_Store|.*\.pyc|.*\.part")
Content = bytes | Path  # of a file, or where a link leads


@dataclass(frozen=True)
class Target:
    """The folder to copy to.

    Attributes:
        folder: Its absolute path.
        app: The absolute path of its CDK app. Default: none, so it is not a project yet.
    """

    folder: Path
    app: Path | None

    @property
    def is_ours(self) -> bool:
        """Whether it has the folders of this project: it is new, or was new to an earlier copy."""
        return not self.app or (self.folder / PACKAGE / "patterns").is_symlink()


def copy(pattern: Pattern, folder: str) -> list[str]:
    """Copy a pattern and return the lines to print: what was copied, what to add, what to do next.

    Raises:
        ValueError: The folder does not fit, or has files of these names with other content.
    """
    root = catalog.FOLDER.parent
    target = find_target(root, folder)
    wanted = contents(root, pattern, target)
    kept = {file for file in wanted if keeps(target, file, wanted[file])}
    new = {file: content for file, content in wanted.items() if file not in kept}
    differing = [str(file) for file in new if _differs(target.folder, file, new[file])]
    if differing:
        raise ValueError(
            f"Nothing was copied: {target.folder} has these files with other content:\n  "
            + "\n  ".join(sorted(differing))
            + "\nRename them, or copy into another folder."
        )
    if outside := {str(file.parent) for file in new if _leads_out(target.folder, file)}:
        raise ValueError(
            f"Nothing was copied: a link leads out of {target.folder}: "
            f"{', '.join(sorted(outside))}. Remove it, or copy into another folder."
        )
    new = {file: new[file] for file in new if not _same(target.folder / file, new[file])}
    _write(target.folder, new)
    folders = Counter("/".join(file.parts[:-1][:2]) or "." for file in new)
    lines = [f"Copied {pattern.slug} to {target.folder}: {len(new)} files"]
    lines += [f"  {count:>3}  {top}" for top, count in sorted(folders.items())]
    if there := len(wanted) - len(new) - len(kept):
        lines.append(f"  {there:>3}  exist there unchanged")
    if own := sorted(str(file) for file in kept if file.name != "__init__.py"):
        lines.append(f"Kept as they are: {', '.join(own)}")
    if target.app:
        lines += copy_advice.to_add(root, pattern, target.folder, target.app, wanted)
    return [*lines, *copy_advice.next_commands(pattern, target.folder, wanted)]


def find_target(root: Path, folder: str) -> Target:
    """Look at the folder to copy to.

    Raises:
        ValueError: Nothing can be copied to it; the message says why.
    """
    if not folder:
        raise ValueError("Name the folder to copy to: make copy PATTERN=<slug> TO=<folder>")
    path = Path(folder).expanduser().resolve()
    if path == root or root in path.parents:
        raise ValueError(f"{path} is inside this project. Name a folder outside of {root}.")
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    if not there.is_dir():
        raise ValueError(f"{there} is a file. Name a folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{there} is not writable.")
    return Target(path, copy_advice.app_file(path))


def contents(root: Path, pattern: Pattern, target: Target) -> dict[Path, Content]:
    """Every file that the copy needs, with its content, by its path in the copy."""
    tests, links = root / "tests", _links(root)
    seeds = [root / PACKAGE / "__main__.py", tests / "conftest.py"]
    # Alarms name the redrive.
    seeds += [
        *below(root / "sandbox"),
        *below(root / "redrive"),
        *root.glob("lambdas/*.in"),
        *root.glob("lambdas/*.txt"),
    ]
    for folder in ("patterns", "lambdas", "tests"):
        seeds += below(root / folder / pattern.slug)
    seeds += _suites(root, with_imports(root, seeds))
    if target.is_ours:
        frame = [file for name in FRAME for file in root.glob(name)]
        snapshots = [file for file in below(tests) if f"[{pattern.slug}]" in file.name]
        files = _read(root, with_imports(root, [*seeds, *frame]) | {*snapshots})
        files |= copy_advice.made_for(pattern, target.folder.name, files)
        last = (Path("cdk.json"), Path("app.py"))  # an interrupted copy has no app: it starts anew
        return links | {file: files[file] for file in sorted(files, key=lambda file: file in last)}
    packed = {Path(PACKAGE, "sandbox", name): (root / name).read_bytes() for name in CLI}
    for file, content in _read(root, with_imports(root, seeds)).items():
        if file.parts[0] == "tests":
            own, theirs = rb"(?m)^(\s*(?:from|import) )tests\b", rb"\1" + APART.encode()
            packed[Path(APART, *file.parts[1:])] = re.sub(own, theirs, content)
        elif file.parts[0] != "tools":  # they copy and set up a project of ours
            packed[Path(PACKAGE, file) if Path(PACKAGE, file.parts[0]) in links else file] = content
    return {**packed}


def _suites(root: Path, needed: set[Path]) -> Iterator[Path]:
    """The tests of promises that patterns share, of those whose blocks and handlers are needed."""
    for file in (file for suite in SUITES for file in below(root / "tests" / suite)):
        tested = {file for file in with_imports(root, [file]) if root / "tests" not in file.parents}
        if tested <= needed and file.name != "__init__.py":
            yield file


def _links(root: Path) -> dict[Path, Content]:
    """The links that make the folders of this project sub-packages of one."""
    links = [path for path in sorted((root / PACKAGE).iterdir()) if path.is_symlink()]
    return {link.relative_to(root): link.readlink() for link in links}


def below(folder: Path) -> Iterator[Path]:
    """Every file below a folder, without caches."""
    for file in folder.rglob("*"):
        if file.is_file() and not any(map(CACHES.fullmatch, file.relative_to(folder).parts)):
            yield file


def with_imports(root: Path, seeds: Iterable[Path]) -> set[Path]:
    """The files, and every file of this project that they import, directly or not."""
    found: set[Path] = set()
    todo = list(seeds)
    while todo:
        file = todo.pop()
        if file not in found:
            found.add(file)
            names = modules(root, file) if file.suffix == ".py" else ()
            todo += [source for name in names for source in sources(root, name)]
    return found


def modules(root: Path, file: Path) -> tuple[str, ...]:
    """The absolute name of each module that a file may import, its own package among them."""
    return tuple(copy_advice.imported(file.read_bytes(), file.relative_to(root).parent.parts))


@cache
def sources(root: Path, module: str) -> tuple[Path, ...]:
    """The files of this project that an import of the module runs; each suite asks for the same."""
    parts = [part for part in module.split(".") if part]
    packages = [root.joinpath(*parts[:end], "__init__.py") for end in range(1, len(parts) + 1)]
    own = root.joinpath(*parts[:-1], f"{parts[-1]}.py") if parts else root
    return tuple(file.resolve() for file in (*packages, own) if file.is_file())


def keeps(target: Target, file: Path, content: Content) -> bool:
    """Whether the target keeps its own file of this name, whatever is in it."""
    path = target.folder / file
    if not path.is_file() or _same(path, content) or isinstance(content, Path):
        return False
    if file.name == "__init__.py":  # any will do in place of one that only marks a package
        return all(isinstance(node, ast.Expr) for node in ast.parse(content).body)
    return any(fnmatch(str(file), name) for name in (FRAME if target.app else IN_A_REPOSITORY))


def _read(root: Path, files: Iterable[Path]) -> dict[Path, bytes]:
    return {file.relative_to(root): file.read_bytes() for file in sorted(files)}


def _same(path: Path, content: Content) -> bool:
    if isinstance(content, Path):
        return path.is_symlink() and path.readlink() == content
    return path.is_file() and path.read_bytes() == content


def _leads_out(folder: Path, file: Path) -> bool:
    """Whether a link that is in the folder already would have the file written elsewhere."""
    return not (folder / file).parent.resolve().is_relative_to(folder)


def _differs(folder: Path, file: Path, content: Content) -> bool:
    path = folder / file
    if path.exists() or path.is_symlink():
        return not _same(path, content)
    return any((folder / parent).is_file() for parent in file.parents)


def _write(folder: Path, files: Mapping[Path, Content]) -> None:
    try:
        for file, content in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.part")  # complete or not there
            if isinstance(content, Path):
                path.symlink_to(content)
            else:
                part.unlink(missing_ok=True)  # never through a link
                part.write_bytes(content)
                part.replace(path)
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}. Run it again to go on.") from error

"""What a project needs for a copied pattern: adapted files, lines to add, next commands."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from serverless_patterns.patterns.catalog import Pattern

CLI = ("package.json", "package-lock.json")  # pin the CDK CLI
# The folder of the tests in somebody's project, whose own tests and conftest.py stay as they are.
APART = "pattern_tests"
README = """\
# {name}

Made from the pattern [`{slug}`](patterns/{slug}/README.md):

    {flow}

Two commands do everything, set-up included. They need Python 3.11 or newer, no AWS account and no
Docker:

    make try     # deploy it into an AWS on this machine, drive real events through it, report
    make test    # lint, types, and every test

`make help` lists the others, such as `make deploy` into your AWS account. `PATTERN=<slug>` names
another pattern, if there are more: every folder of `patterns/` with a `stack.py` is one.

| Folder | What is in it |
|---|---|
| `patterns/` | each pattern: page, construct, stack, scenario; in `blocks/` what they share |
| `lambdas/` | the handlers, and the lock of what they import |
| `tests/` | the tests |
| `sandbox/` | the AWS on this machine |
| `serverless_patterns/` | links to these folders, so that one import name holds them all |
"""


def text(path: Path) -> str:
    """A file's text; empty if there is no such file."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def app_file(folder: Path) -> Path | None:
    """The file with a project's CDK app; none if the folder is not a CDK project.

    Raises:
        ValueError: Its app is not written in Python.
    """
    if not (folder / "cdk.json").is_file():
        return folder / "app.py" if (folder / "app.py").is_file() else None
    command = _json(folder / "cdk.json").get("app", "app.py")
    file = re.search(r"\S+\.py\b", command)
    if not file:
        raise ValueError(
            f"{folder} is a CDK project in another language: its cdk.json runs {command!r}. "
            "Copy the pattern into a folder of its own."
        )
    return folder / file.group()


def made_for(pattern: Pattern, name: str, files: Mapping[Path, bytes]) -> dict[Path, bytes]:
    """The files of a new project that say its name or its pattern."""
    makefile = files[Path("Makefile")].decode()
    makefile = re.sub(r"(?m)^PATTERN \?= .*", f"PATTERN ?= {pattern.slug}", makefile)
    for rule, module in re.findall(r"(?m)(^\w.*\n\t.*python -m ([\w.]+).*\n\n?)", makefile):
        path = Path(*module.removeprefix("serverless_patterns.").split("."))
        if not {path.with_suffix(".py"), path / "__main__.py"} & files.keys():
            makefile = makefile.replace(rule, "")  # it runs what is not in the copy
    makefile = re.sub(r"(?m)^.*(checkov|tools/site).*\n", "", makefile)  # of all the patterns
    project = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "app"
    settings = files[Path("pyproject.toml")].decode()
    settings = re.sub(r'(?m)^name = ".*"', f'name = "{project}"', settings, count=1)
    readme = README.format(name=name, slug=pattern.slug, flow=pattern.flow)
    made = {"Makefile": makefile, "pyproject.toml": settings, "README.md": readme}
    return {Path(file): content.encode() for file, content in made.items()}


def to_add(
    root: Path, pattern: Pattern, folder: Path, app: Path, files: Mapping[Path, bytes | Path]
) -> Iterator[str]:
    """Yield what the project lacks, as lines to add."""
    source, name = text(app), app.relative_to(folder)
    if "catalog." not in source and f"patterns.{pattern.slug}" not in source:
        variable = re.search(r"(?m)^(\w+)(?:: .*)? = .*\bApp\(", source)
        scope = variable.group(1) if variable else "app"
        stack = "".join(word.title() for word in pattern.slug.split("_"))
        yield f"Add to {name}, before {scope}.synth():"
        module = f"serverless_patterns.patterns.{pattern.slug}.stack"
        yield f"  from {module} import DemoStack as {stack}"
        yield f'  {stack}({scope}, "{pattern.stack_name}")'
    names = {
        tuple(module.split("."))
        for file, content in files.items()
        if file.suffix == ".py" and isinstance(content, bytes)
        for module in imported(content, file.parent.parts)
    }
    if packages := list(_packages(root, folder, {first for first, *_ in names})):
        yield "Add to your requirements:"
        yield from (f"  {package}" for package in packages)
    own = _json(folder / "cdk.json").get("context", {})
    cdk = {part.replace("_", "-") for first, *rest in names if first == "aws_cdk" for part in rest}
    flags = {
        flag: value
        for flag, value in _json(root / "cdk.json").get("context", {}).items()
        if flag not in own
        and flag.split(":")[0].removeprefix("@aws-cdk/") in {*cdk, "core", "aws-iam"}
    }
    if flags:
        yield "The pattern is tested with these flags. In the context of your cdk.json they change"
        yield "your other stacks too (see `cdk diff`); it works without them:"
        yield from (f"  {json.dumps(flag)}: {json.dumps(flags[flag])}," for flag in flags)
    ignored = {line.strip("/") for line in text(folder / ".gitignore").splitlines()}
    ours = text(root / ".gitignore").splitlines()
    if lines := [line for line in ours if line.strip("/") not in ignored]:
        yield f"Add to .gitignore: {' '.join(lines)}"


def next_commands(pattern: Pattern, folder: Path, files: Iterable[Path]) -> list[str]:
    """The two commands that show that the copy works."""
    if Path("Makefile") not in files:
        commands = [
            f"python -m pytest {APART}",
            f"python -m serverless_patterns try {pattern.slug}",
        ]
    elif f"PATTERN ?= {pattern.slug}\n" in text(folder / "Makefile"):
        commands = ["make try", "make test"]
    else:
        commands = [f"make try PATTERN={pattern.slug}", "make test"]
    return ["Next:", f"  cd {shlex.quote(str(folder))}", *(f"  {command}" for command in commands)]


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(text(path) or "{}")
    return content


@cache
def imported(source: bytes, package: tuple[str, ...]) -> dict[str, None]:
    """The absolute name of each module that code of a package may import, and the package's."""
    names = [".".join(package)]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else ()
            base = ".".join([*start, *filter(None, [node.module])])
            names += (base, *(f"{base}.{alias.name}" for alias in node.names))
    return dict.fromkeys(names)


def _packages(root: Path, folder: Path, imported: Iterable[str]) -> Iterator[str]:
    """The requirements of the copy that the project does not have, or has pinned to no fit."""
    settings = tomllib.loads(text(root / "pyproject.toml"))
    extras = settings["project"].get("optional-dependencies", {}).values()
    needed = [*settings["project"]["dependencies"], *chain(*extras)]
    distributions = packages_distributions()
    used = {canonicalize_name(name) for top in imported for name in distributions.get(top, ())}
    development = settings["dependency-groups"]["dev"]
    needed += [line for line in development if canonicalize_name(Requirement(line).name) in used]
    files = ("requirements*", "pyproject.toml", "setup.py", "setup.cfg", "Pipfile")
    own = "\n".join(text(path) for name in files for path in folder.glob(name))
    for line in dict.fromkeys(needed):
        requirement = Requirement(line)
        name = requirement.name.replace("-", "[-_.]")
        there = re.search(rf"(?im)(?:^|[\s\"']){name}(?![\w.-])(?: *== *([\w.]+))?", own)
        if not there:
            yield line
        elif there.group(1) and there.group(1) not in requirement.specifier:
            yield f"{line}  (in place of {there.group(1)})"

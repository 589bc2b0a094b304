"""The page of what the constructs reject and warn of, made of the code that does so.

Each message says what was given, the rule and the change to make. The AWS page behind it is the one
that the function's docstring names by its URL, or the docstrings of the functions that call it.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns import catalog
from serverless_patterns.patterns.checks import period

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PAGE = Path(__file__).resolve().parents[1] / "docs" / "refusals.md"
SHARED = ("checks", "blocks")
HEAD = """\
# What the constructs reject

A configuration that would fail or lose events raises `ValueError` at synthesis, before anything is
deployed. These are the messages, {refusals} rejections and {warnings} warnings, with `…` for what
was given. The links lead to AWS's reason; without one, it is a matter of the arguments or of a
pattern's own promise. An id such as [W9104](rules.md) is the same rule in the pack that checks any
template. A value that only deployment knows is never rejected.
"""
WARNINGS = """\
## What cannot be checked

The settings of an imported resource are not known at synthesis. It is used, with a warning:
"""


@dataclass(frozen=True)
class Message:
    """What a construct says of a configuration.

    Attributes:
        kind: ``refusal`` or ``warning``.
        text: The message, with … for values.
        rules: Ids of the rule pack that the docstring names.
        sources: URLs of the pages that the docstrings name.
    """

    kind: str
    text: str
    rules: tuple[str, ...]
    sources: tuple[str, ...]


def messages(module: str) -> Iterator[Message]:
    """Yield what a module rejects and warns of, in the order of the code."""
    loaded = import_module(module)
    limits = {name: value for name, value in vars(loaded).items() if name.isupper()}
    tree = ast.parse(Path(str(loaded.__file__)).read_text(encoding="utf-8"))
    checks = ".checks" in module or module.endswith(".rules")
    for function in _functions(tree):
        said = ast.get_docstring(function) or " ".join(_said_by_callers(function.name, tree))
        known = limits | _defaults(function, limits)
        is_check = checks and not function.name.startswith("_") and _returns_text(function)
        for node in sorted(ast.walk(function), key=lambda node: getattr(node, "lineno", 0)):
            match node:
                case ast.Raise(exc=ast.Call(func=ast.Name(id="ValueError"), args=[text, *_])):
                    yield from _message("refusal", text, known, said)
                case ast.Return(value=ast.Constant(str()) | ast.JoinedStr() as text) if is_check:
                    yield from _message("refusal", text, known, said)
                case ast.Call(func=ast.Attribute(attr="add_warning_v2"), args=[_, text]):
                    yield from _message("warning", text, known, said)


def _defaults(function: ast.FunctionDef, limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments whose default is a limit: that is what the constructs say."""
    defaults = function.args.defaults
    named = zip(function.args.args[-len(defaults) :], defaults, strict=True) if defaults else ()
    return {
        argument.arg: limits[default.id]
        for argument, default in named
        if isinstance(default, ast.Name) and default.id in limits
    }


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yield functions and methods, without properties: they reject a question, no configuration."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and "property" not in map(
            ast.unparse, node.decorator_list
        ):
            yield node


def _returns_text(function: ast.FunctionDef) -> bool:
    return function.returns is not None and ast.unparse(function.returns) in ("str", "str | None")


def _said_by_callers(name: str, tree: ast.Module) -> Iterator[str]:
    """Yield the docstrings of the functions that call this one, which has none of its own."""
    for function in _functions(tree):
        calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
        if name in (getattr(call, "id", getattr(call, "attr", "")) for call in calls):
            yield ast.get_docstring(function) or ""


def _message(kind: str, text: ast.expr, known: Mapping[str, Any], said: str) -> Iterator[Message]:
    message = re.sub(r"(?:…\.?)+$", "…", "".join(_parts(text, known)))
    rules = dict.fromkeys(re.findall(r"\b[EWI]9\d{3}\b", said))
    sources = dict.fromkeys(re.findall(r"https://[^\s\"'`),;]+[^\s\"'`),;.]", said))
    if not re.fullmatch(r"…( [A-Z].*)?", message):  # it passes on what a check says
        yield Message(kind, message, tuple(rules), tuple(sources))


def _parts(text: ast.expr, known: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message's parts: what is known before it is given, and … for what is not."""
    match text:
        case ast.Constant():
            yield str(text.value)
        case ast.JoinedStr():
            for value in text.values:
                yield from _parts(value, known)
        case ast.BinOp(left=left, right=right):
            yield from _parts(left, known)
            yield from _parts(right, known)
        case ast.FormattedValue(value=ast.Name(id=name)) if name in known:
            yield str(known[name])
        case ast.FormattedValue(
            value=ast.Call(func=ast.Name(id="period"), args=[ast.Name(id=name)])
        ) if name in known:
            yield period(known[name])
        case _:
            yield "…"


def of_package(package: str) -> list[Message]:
    """Return what the modules of a package in ``patterns/`` reject and warn of."""
    files = sorted((catalog.FOLDER / package).glob("[!_]*.py"))
    modules = (f"{catalog.__package__}.{package}.{file.stem}" for file in files)
    return [message for module in modules for message in messages(module)]


def chapters() -> dict[str, list[Message]]:
    """Return everything, by the heading of its chapter."""
    shared = [message for package in SHARED for message in of_package(package)]
    return {"Every pattern": shared} | {p.slug: of_package(p.slug) for p in catalog.patterns()}


def render() -> str:
    """Return the page as it has to be now."""
    found = chapters()
    everything = [message for chapter in found.values() for message in chapter]
    count = {kind: sum(m.kind == kind for m in everything) for kind in ("refusal", "warning")}
    parts = [HEAD.format(refusals=count["refusal"], warnings=count["warning"])]
    for title, chapter in found.items():
        if lines := list(_lines(chapter, "refusal")):
            parts += [f"## {title}\n", *lines, ""]
    parts += [WARNINGS, *_lines(everything, "warning")]
    return "\n".join(parts) + "\n"


def _lines(found: Iterable[Message], kind: str) -> Iterator[str]:
    for message in found:
        if message.kind == kind:
            links = [f"[{rule}](rules.md)" for rule in message.rules]
            links += [f"[AWS]({source})" for source in message.sources]
            source = f" ({'; '.join(links)})" if links else ""
            yield f"- {message.text}{source}"

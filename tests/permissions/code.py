"""Which calls of AWS a handler makes, read from its code: its own, and what it imports of ours."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from serverless_patterns.patterns import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Call:
    """A call of a client's method.

    Attributes:
        method: Such as ``put_item``.
        variables: The environment variables that it is given; none when they come from elsewhere.
        key: How the key of an object begins.
    """

    method: str
    variables: frozenset[str]
    key: str


# A name of a module that is used, and the environment variables that it is called with.
Use = tuple[str, str, frozenset[str]]


@dataclass(frozen=True)
class _Module:
    definitions: dict[str, ast.AST]
    imports: dict[str, tuple[str, str]]  # a local name: module and name there


@cache
def calls(handler: str) -> tuple[frozenset[Call], frozenset[str]]:
    """Return the calls of a handler such as ``lambdas.shop.orders.handler``, and its texts."""
    found: set[Call] = set()
    texts: set[str] = set()
    seen: set[Use] = set()
    module, _, name = handler.rpartition(".")
    todo: list[Use] = [(module, name, frozenset())]
    while todo:
        module, name, given = at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        read = _module(module)
        node = read.definitions.get(name) if read else None
        if read is None or node is None:
            todo += [(*read.imports[name], given)] if read and name in read.imports else []
            continue
        todo += _uses(module, read, node)
        for one in ast.walk(node):
            if isinstance(one, ast.Call):
                methods = [
                    part for part in (one.func, *one.args) if isinstance(part, ast.Attribute)
                ]
                variables = _variables(one) or given
                found |= {Call(part.attr, variables, _key(one)) for part in methods}
            elif isinstance(one, ast.Constant) and isinstance(one.value, str):
                texts.add(one.value)
    return frozenset(found), frozenset(texts)


def _uses(module: str, read: _Module, node: ast.AST) -> Iterator[Use]:
    called = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
    given = {id(call.func): _variables(call) for call in called}
    for one in ast.walk(node):
        variables = given.get(id(one), frozenset())
        if isinstance(one, ast.Name):
            yield module, one.id, variables
        elif isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name):
            package, name = read.imports.get(one.value.id, ("", ""))
            yield f"{package}.{name}", one.attr, variables


def _variables(call: ast.Call) -> frozenset[str]:
    return frozenset(
        str(one.slice.value)
        for one in ast.walk(call)
        if isinstance(one, ast.Subscript)
        and ast.unparse(one.value).endswith("environ")
        and isinstance(one.slice, ast.Constant)
    )


def _key(call: ast.Call) -> str:
    for keyword in call.keywords:
        if keyword.arg == "Key" and isinstance(keyword.value, ast.JoinedStr):
            first = keyword.value.values[0]
            return str(first.value) if isinstance(first, ast.Constant) else ""
    return ""


@cache
def _module(name: str) -> _Module | None:
    file = catalog.FOLDER.parent.joinpath(*name.split(".")).with_suffix(".py")
    if not name or not file.is_file():
        return None
    definitions: dict[str, ast.AST] = {}
    imports: dict[str, tuple[str, str]] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                definitions[node.name] = node
            case (
                ast.Assign(targets=[ast.Name(id=target)])
                | ast.AnnAssign(target=ast.Name(id=target))
            ):
                definitions[target] = node
            case ast.ImportFrom(level=level) if level:
                package = [*name.split(".")[:-level], *filter(None, (node.module or "").split("."))]
                for one in node.names:
                    imports[one.asname or one.name] = (".".join(package), one.name)
    return _Module(definitions, imports)

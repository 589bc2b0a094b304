"""What every construct promises to whose stream readers are added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contracts.builds import Build, every_build
from tests.inline import rejected

if TYPE_CHECKING:
    from aws_cdk import Stack


@every_build("readers")
def test_a_function_reads_the_stream_once(stack: Stack, build: Build) -> None:
    changes = build.make(stack, "Pattern")
    (reader,) = changes.consumers
    with rejected("Again is a second mapping of Stack/Pattern/.+ to Stack/PatternConsumer"):
        changes.add_consumer("Again", reader.function)

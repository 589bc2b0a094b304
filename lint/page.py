"""The page that lists the rules, made from what each rule says of itself."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from .__main__ import rules

if TYPE_CHECKING:
    from cfnlint.rules import CloudFormationLintRule

PAGE = Path(__file__).resolve().parents[1] / "docs" / "rules.md"
TOPICS = {
    "0": "Queues and dead-letter queues",
    "1": "SQS → Lambda",
    "2": "Streams → Lambda",
    "3": "FIFO where it is not supported",
    "4": "Firehose",
    "5": "Encryption",
    "6": "Permissions",
    "7": "API Gateway",
    "8": "Alarms and failures",
    "9": "Events that are never sent, or lost after one attempt",
}
HEAD = """\
# Rules for any template

`make check TEMPLATE=…` checks a template against these rules. Each rule says what to fix, and links
to the AWS page that says why. [Another page](refusals.md) lists what the constructs reject; a check
that both make is one function, with the same message. **E**: AWS rejects the template, or events
are lost in normal operation. **W**: events are lost, or good events are dead-lettered, when
something fails. **I**: worth knowing; shown with `--include-checks I`.

A value that is known only at deployment (an import, a parameter without a default, a parameter that
a condition uses) is never a finding. Each combination of the template's conditions is checked on
its own. SAM functions are checked with their events; a template that your own macro rewrites is not
checked. Turn a rule off with `--ignore-checks W9114`, in `.cfnlintrc`, or for one resource with
`Metadata: {cfn-lint: {config: {ignore_checks: [W9114]}}}`.

E9101 and E9111 go further than E3502 and E3505 of cfn-lint itself (ARNs, aliases, SAM events), so
`--all` can report a mistake twice.
"""


def render() -> str:
    """Return the page as it has to be now."""
    parts = [HEAD]
    for topic, members in groupby(rules(), key=lambda rule: str(rule.id)[3]):
        parts += [f"## {TOPICS[topic]}\n", *map(_entry, members)]
    return "\n".join(parts)


def _entry(rule: CloudFormationLintRule) -> str:
    return f"**{rule.id}** {rule.shortdesc}.\n{rule.description} [AWS]({rule.source_url})\n"

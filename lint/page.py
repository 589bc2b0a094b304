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
    "00": "What was not checked, or ignored",
    "10": "Queues and dead-letter queues",
    "11": "SQS → Lambda",
    "12": "Streams → Lambda",
    "13": "FIFO where it is not supported",
    "14": "Firehose",
    "15": "Encryption",
    "16": "Permissions",
    "17": "API Gateway",
    "18": "Alarms and failures",
    "19": "Events that are never sent, or lost after one attempt",
    "20": "Pipes",
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
its own, and a finding names the case ("when WithAlarm is false"). SAM functions are checked with
their events, and nested stacks when their template is a local file. What was not checked is said
beside the findings, such as a template that your own macro rewrites.

Some rules have a setting, which `--configure-rule W9104:least=3` changes, or `configure_rules` in
`.cfnlintrc`. Turn a rule off with `--ignore-checks W9114`, in `.cfnlintrc`, or for one resource in
its metadata, with a reason:

```yaml
Metadata:
  cfn-lint: {config: {ignore_checks: [W9114]}, reasons: {W9114: A batch is one message here.}}
```

E9101 and E9111 go further than E3502 and E3505 of cfn-lint itself (ARNs, aliases, SAM events), so
`--all` can report a mistake twice.
"""


def render() -> str:
    """Return the page as it has to be now."""
    parts = [HEAD]
    for topic, members in groupby(rules(), key=lambda rule: str(rule.id)[2:4]):
        parts += [f"## {TOPICS[topic]}\n", *map(_entry, members)]
    return "\n".join(parts)


def _entry(rule: CloudFormationLintRule) -> str:
    settings = "".join(
        f" Setting: `{rule.id}:{name}={value}`."
        for name, value in getattr(rule, "settings", {}).items()
    )
    about = f"{rule.description}{settings} [AWS]({rule.source_url})"
    return f"**{rule.id}** {rule.shortdesc}.\n{about}\n"

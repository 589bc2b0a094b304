"""Check templates for mistakes that lose events: ``python -m serverless_patterns.lint TEMPLATE…``.

cfn-lint does the work, with this pack appended; its own options pass through, such as
``--format json``, ``sarif`` or ``junit``. ``--all`` runs cfn-lint's own rules too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

try:
    from cfnlint.config import ConfigMixIn
    from cfnlint.rules import CloudFormationLintRule, Rules
    from cfnlint.runner import Runner
except ModuleNotFoundError:
    sys.exit("The rule pack needs cfn-lint: pip install 'serverless-patterns[lint]'.")

if TYPE_CHECKING:
    from collections.abc import Sequence

RULES = Path(__file__).parent / "rules"


def rules() -> list[CloudFormationLintRule]:
    """Return the rules of this pack, in the order of their ids."""
    loaded = Rules.create_from_directory(str(RULES))
    return [loaded[rule_id] for rule_id in sorted(loaded, key=lambda rule_id: rule_id[1:])]


def runner(arguments: Sequence[str], *, everything: bool = False) -> Runner:
    """Return cfn-lint, ready to run this pack alone, or everything."""
    made = Runner(ConfigMixIn([f"--append-rules={RULES}", *arguments]))
    if not everything:
        own = {rule.id for rule in rules()}
        # E0: a template that cannot be read, or a rule that broke.
        kept = {name: rule for name, rule in made.rules.items() if name in own or name[:2] == "E0"}
        made.rules = Rules(kept)
    return made


def main(arguments: Sequence[str]) -> None:
    """Run cfn-lint and exit with its status: 0 without a finding."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
    everything = "--all" in arguments
    options = [argument for argument in arguments if argument != "--all"]
    runner(options, everything=everything).cli()


if __name__ == "__main__":
    main(sys.argv[1:])

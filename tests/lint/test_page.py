"""The page of the rules says which checks of other packs correspond, and none is forgotten."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import cdk_nag

from serverless_patterns.lint.__main__ import rules
from serverless_patterns.lint.page import ELSEWHERE, OTHERS

REST = " ".join(ELSEWHERE.values()).split()


def test_every_check_of_cdk_nags_serverless_pack_is_on_the_page() -> None:
    (archive,) = (Path(cdk_nag.__file__).parent / "_jsii").glob("*.tgz")
    with tarfile.open(archive) as package:
        source = package.extractfile("package/lib/packs/serverless.js")
        checks = re.findall(rb"rule: \w+\.(\w+)", source.read() if source else b"")
    listed = [nag for _, nag, _ in OTHERS] + [name for name in REST if not name[-4:].isdigit()]
    assert sorted(listed) == sorted(check.decode() for check in checks)


def test_every_check_of_cfn_lint_serverless_is_on_the_page() -> None:
    """In its version 0.3.6, which is not among the project's own packages."""
    listed = [theirs for theirs, _, _ in OTHERS if theirs]
    listed += [name for name in REST if name[-4:].isdigit()]
    numbers = [*range(1000, 1008), *range(2000, 2004), 3000, 4000, 5000, 6000, 7000]
    assert sorted(int(name[2:]) for name in listed) == numbers


def test_what_corresponds_is_a_rule() -> None:
    own = {rule_id for _, _, ids in OTHERS for rule_id in ids.split()}
    assert own <= {str(rule.id) for rule in rules()}

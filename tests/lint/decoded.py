"""The templates of these tests, as cfn-lint reads them, and the rules by their ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cfnlint.decode import decode

from serverless_patterns.lint.__main__ import rules

FILES = sorted((Path(__file__).parent / "templates").glob("*/*"))
DECODED: list[Any] = [decode(str(file))[0] for file in FILES]
RULES = {str(rule.id): rule for rule in rules()}

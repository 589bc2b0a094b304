"""Every rule of the pack, for ``cfn-lint --append-rules`` with this folder, wherever that runs.

cfn-lint loads this file by its path, alone, and takes each rule class that it finds in it.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("serverless_patterns") is None:
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from serverless_patterns.lint.checks import rule_classes

globals().update({rule.id: rule for rule in rule_classes()})

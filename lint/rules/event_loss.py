"""Every rule of the pack, for ``cfn-lint --append-rules`` with this folder, wherever that runs.

cfn-lint loads this file by its path, alone, and takes each rule class that it finds in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)

from lint.checks import rule_classes  # noqa: E402 - found by the line above

globals().update({rule.id: rule for rule in rule_classes()})

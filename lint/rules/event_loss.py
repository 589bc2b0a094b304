"""Every rule of the pack, for ``cfn-lint --append-rules`` with this folder, wherever that runs.

cfn-lint loads this file by its path, alone, and takes each rule class that it finds in it.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("serverless_patterns") is None:
    folders = Path(__file__).resolve().parents  # of the project, or of an installed package
    sys.path += [str(folder) for folder in folders if (folder / "serverless_patterns").is_dir()]

from serverless_patterns.lint.checks import rule_classes

globals().update({rule.id: rule for rule in rule_classes()})

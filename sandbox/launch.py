"""Start MiniStack as ``python -m ministack`` does, with the shims of ``shims.py`` loaded.

Runs on the embedded AWS's own Python, so it imports nothing of this package.
"""

import runpy
import sys
from pathlib import Path

runpy.run_path(str(Path(__file__).with_name("shims.py")))["apply_all"]()
sys.argv = ["ministack"]
runpy.run_module("ministack", run_name="__main__")

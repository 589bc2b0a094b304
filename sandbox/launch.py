"""Start MiniStack as ``python -m ministack`` does, with a certificate, and the shims loaded.

Runs on the embedded AWS's own Python, so it imports nothing of this package.
"""

import os
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent

runpy.run_path(str(HERE / "certificate.py"))["make"](
    Path(os.environ["MINISTACK_SSL_CERT"]), Path(os.environ["MINISTACK_SSL_KEY"])
)
runpy.run_path(str(HERE / "shims.py"))["apply_all"]()
sys.argv = ["ministack"]
runpy.run_module("ministack", run_name="__main__")

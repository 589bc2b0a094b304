"""Start MiniStack as ``python -m ministack`` does, with a certificate, and the shims applied.

Runs on the embedded AWS's own Python, so it loads what it needs of this package by path.
"""

import os
import runpy
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

HERE = Path(__file__).parent

runpy.run_path(str(HERE / "certificate.py"))["make"](
    Path(os.environ["MINISTACK_SSL_CERT"]), Path(os.environ["MINISTACK_SSL_KEY"])
)
spec = spec_from_file_location("shims", HERE / "shims" / "__init__.py")
assert spec  # noqa: S101
assert spec.loader  # noqa: S101
shims = sys.modules["shims"] = module_from_spec(spec)
spec.loader.exec_module(shims)
shims.apply_all()
import_module("shims._lock").lock()
sys.argv = ["ministack"]
runpy.run_module("ministack", run_name="__main__")

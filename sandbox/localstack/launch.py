"""Start LocalStack as ``python -m localstack.runtime.main`` does, locked and with our executor.

Runs on LocalStack's own Python, so it loads what it needs of this package by path.
"""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

spec = spec_from_file_location("engine", Path(__file__).parent / "__init__.py")
assert spec  # noqa: S101
assert spec.loader  # noqa: S101
engine = sys.modules["engine"] = module_from_spec(spec)
spec.loader.exec_module(engine)
import_module("engine.changes").apply_all()
import_module("localstack.runtime.main").main()

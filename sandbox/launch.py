"""Start MiniStack as ``python -m ministack`` does, with a certificate, and the shims applied.

Runs on the embedded AWS's own Python, so it loads what it needs of this package by path.
"""

import os
import runpy
import ssl
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

HERE = Path(__file__).parent

runpy.run_path(str(HERE / "certificate.py"))["make"](
    Path(os.environ["MINISTACK_SSL_CERT"]), Path(os.environ["MINISTACK_SSL_KEY"])
)
# What a function's or custom resource's own TLS library reads, beside the SDKs' AWS_CA_BUNDLE.
bundle = Path(os.environ["MINISTACK_SSL_CERT"]).with_name("trusted.pem")
known = ssl.get_default_verify_paths().cafile
own = Path(os.environ["MINISTACK_SSL_CERT"]).read_text()
bundle.write_text(own + (Path(known).read_text() if known else ""))
for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ[name] = str(bundle)
spec = spec_from_file_location("shims", HERE / "shims" / "__init__.py")
assert spec  # noqa: S101
assert spec.loader  # noqa: S101
shims = sys.modules["shims"] = module_from_spec(spec)
spec.loader.exec_module(shims)
shims.apply_all()
import_module("shims._lock").lock()
import_module("shims._unpack").once()
sys.argv = ["ministack"]
runpy.run_module("ministack", run_name="__main__")

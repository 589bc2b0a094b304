"""Which files are templates: those that are named, those in a folder, and their nested stacks."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass, field, replace
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfnlint.decode import decode_str
from cfnlint.match import Match
from cfnlint.rules.errors import ParseError

from .conditions import as_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SUFFIXES = (".yaml", ".yml", ".json", ".template")
OTHERS = re.compile(r"\.|asset\.|(node_modules|site-packages|__pycache__)$")  # folders
SECTION = re.compile(rb"""^[\s{]*["']?(AWSTemplateFormatVersion|Resources)["']?\s*:""", re.M)
NESTED = {"AWS::CloudFormation::Stack": "TemplateURL", "AWS::Serverless::Application": "Location"}
STDIN = "-"


@dataclass
class Source:
    """A file that was read.

    Attributes:
        name: As it was named; ``-`` is standard input.
        template: What it says; empty if it cannot be read, or is no template.
        problems: Why it cannot be checked.
    """

    name: str
    template: dict[str, Any] = field(default_factory=dict)
    problems: list[Match] = field(default_factory=list)


def problem(name: str, message: str) -> Match:
    """Return the finding that a file cannot be checked."""
    return Match.create(filename=name, rule=ParseError(), message=message)


def exists(name: str) -> bool:
    """Tell whether there is such a file or folder; no file has a name that is too long."""
    try:
        return Path(name).exists()
    except OSError:
        return False


def read(names: Iterable[str], *, only_templates: bool = False) -> list[Source]:
    """Read templates, and the local templates that they nest.

    A parent gives its nested stack parameters that replace their defaults: these are dropped.

    Args:
        names: Files, folders (each template in them), patterns, or ``-`` for standard input.
        only_templates: Leave out named files that are no templates, as those in a folder.
    """
    waiting = [(file, named and not only_templates) for file, named in _files(names)]
    found: dict[str, Source] = {}
    given: dict[str, set[str]] = {}
    for name, named in waiting:
        source = None if name in found else _read(name, named=named)
        if source:
            found[name] = source
            for _, child, parameters in nested_stacks(source.template, name):
                if child and exists(child):
                    waiting.append((child, True))
                    given.setdefault(child, set()).update(parameters)
    for name, parameters in given.items():
        stated = as_object(found[name].template.get("Parameters"))
        for parameter in parameters:
            as_object(stated.get(parameter)).pop("Default", None)
    return list(found.values())


def _files(names: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield files, and whether they are named: not if they are only in a folder that is."""
    for name in names:
        if exists(name) and Path(name).is_dir():
            for folder, folders, files in os.walk(name):
                folders[:] = sorted(item for item in folders if not OTHERS.match(item))
                found = (item for item in sorted(files) if item.endswith(SUFFIXES))
                yield from ((str(Path(folder, item)), False) for item in found)
        else:
            matching = [] if exists(name) else sorted(glob(name, recursive=True))  # noqa: PTH207
            yield from ((item, True) for item in matching or [name])


def _read(name: str, *, named: bool) -> Source | None:
    """Read a file; None for one that is no template, unless it is named."""
    try:
        raw = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
        if not named and not SECTION.search(raw):
            return None
        decoded, problems = decode_str(raw.decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        return Source(name, problems=[problem(name, f"{name} cannot be read: {why}.")])
    if problems:
        return Source(name, problems=[replace(match, filename=name) for match in problems])
    template = as_object(decoded)
    for owner in (template, *map(as_object, as_object(template.get("Resources")).values())):
        metadata = as_object(owner.get("Metadata"))
        for part in (owner, metadata, as_object(metadata.get("cfn-lint"))):
            for key in [key for key, value in part.items() if value is None]:
                del part[key]  # cfn-lint breaks on what is empty
    if isinstance(template.get("Resources"), dict):
        return Source(name, template)
    none = f"{name} has no Resources: it is not a CloudFormation template."
    return Source(name, template, [problem(name, none)]) if named else None


def nested_stacks(
    template: Mapping[str, Any], name: str
) -> Iterator[tuple[str, str | None, set[str]]]:
    """Yield nested stacks: the id, the file if it is a local one, and the names it is given."""
    for key, raw in as_object(template.get("Resources")).items():
        place = NESTED.get(str(as_object(raw).get("Type")))
        if place:
            metadata, properties = (as_object(raw.get(part)) for part in ("Metadata", "Properties"))
            location = metadata.get("aws:asset:path") or properties.get(place)
            if isinstance(location, dict):
                location = _asset(Path(name).parent, str(location))
            local = isinstance(location, str) and not re.search(r"://|\{\{resolve:", location)
            file = os.path.normpath(Path(name).parent / str(location)) if local else None
            yield str(key), file, set(as_object(properties.get("Parameters")))


def _asset(folder: Path, url: str) -> str | None:
    """Return the file of a nested stack among the CDK's assets: its hash is in the URL."""
    for listed in sorted(folder.glob("*.assets.json")):
        try:
            files = as_object(as_object(json.loads(listed.read_bytes())).get("files"))
        except (OSError, ValueError):
            continue
        for name, asset in files.items():
            path = as_object(as_object(asset).get("source")).get("path")
            if name in url and isinstance(path, str):
                return path
    return None

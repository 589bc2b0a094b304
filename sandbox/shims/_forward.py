"""How a shim reaches into MiniStack: its modules, its functions, its CloudFormation resources."""

from __future__ import annotations

import functools
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def ministack(name: str) -> Any:
    """A module of MiniStack, such as ``services.sns``."""
    return import_module(f"ministack.{name}")


def resources() -> dict[str, dict[str, Any]]:
    """What creates, updates and deletes each resource type of a template."""
    handlers: dict[str, dict[str, Any]] = ministack(
        "services.cloudformation.provisioners"
    )._RESOURCE_HANDLERS
    return handlers


def around(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
    """Decorate a function that replaces ``owner.name``; it gets the original as first argument."""
    original = getattr(owner, name)

    def install(replacement: Callable[..., Any]) -> None:
        @functools.wraps(original)
        def call(*args: Any, **named: Any) -> Any:
            return replacement(original, *args, **named)

        setattr(owner, name, call)

    return install


def afterwards(resource_type: str) -> Callable[[Callable[..., None]], None]:
    """Decorate a function to call after a resource of this type was created or updated.

    It gets the resource's physical id, its properties, and the properties before the update (none
    after the creation).
    """
    handler = resources()[resource_type]
    create, update = handler["create"], handler["update"]

    def install(then: Callable[[str, dict[str, Any], dict[str, Any]], None]) -> None:
        def created(logical_id: str, properties: dict[str, Any], *args: Any) -> Any:
            result = create(logical_id, properties, *args)
            then(result[0], properties, {})
            return result

        def updated(physical_id: str, old: dict[str, Any], new: dict[str, Any], *args: Any) -> Any:
            result = update(physical_id, old, new, *args)
            then(result[0], new, old)
            return result

        handler["create"], handler["update"] = created, updated

    return install


def succeeded(what: str, answer: tuple[int, Any, Any]) -> Any:
    """The body of a service's answer. Raises ValueError for an error: the resource then fails."""
    status, _, body = answer
    if status >= 400:
        raise ValueError(f"{what}: {body!r}")
    return body


def is_true(value: object) -> bool:
    """Whether a template's boolean is true; it may be a string."""
    return str(value).lower() == "true"

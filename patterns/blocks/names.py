"""Physical names of resources that name each other."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from aws_cdk import Fn, Names

from ..limits import S3_BUCKET_NAME, SQS_QUEUE_NAME
from .values import stack_of

if TYPE_CHECKING:
    from aws_cdk import Stack
    from constructs import Construct

LONGEST = SQS_QUEUE_NAME - len(".fifo")
# The stack's id, with the dash before it.
_ID = len("-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0")
_UNIQUE: WeakKeyDictionary[Stack, str] = WeakKeyDictionary()


def name_known_before_creation(
    scope: Construct, suffix: str = "", *, longest: int = LONGEST
) -> str:
    """Return a physical name made of the construct's path and the stack's own id.

    For resources that name each other, such as a queue and its dead-letter queue (redrive policy,
    redrive allow policy): with generated names, each would depend on the other. The stack's id
    keeps this one as unique as a generated name: it differs in every stack, account, Region and
    re-creation. It has at most ``longest`` characters before ``suffix``. Default: as many as fit a
    FIFO queue.
    """
    return f"{Fn.join('-', [_path_in_name(scope, longest), id_of_stack(scope)])}{suffix}"


def bucket_name_known_before_creation(scope: Construct) -> str:
    """Return the same for a bucket: as long as its name may be, all in lower case.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    return Fn.join("-", [_path_in_bucket_name(scope), id_of_stack(scope)])


def pattern_of_bucket_name(scope: Construct) -> str:
    """Return what matches ``bucket_name_known_before_creation``, for a policy in another stack."""
    return f"{_path_in_bucket_name(scope)}-*"


def _path_in_bucket_name(scope: Construct) -> str:
    return _path_in_name(scope, S3_BUCKET_NAME).lower()


def id_of_stack(scope: Construct) -> str:
    """Return the id that CloudFormation gives a stack, another one each time it is created."""
    stack = stack_of(scope)
    if stack not in _UNIQUE:
        _UNIQUE[stack] = Fn.select(2, Fn.split("/", stack.stack_id))
    return _UNIQUE[stack]


def pattern_of_name(scope: Construct, suffix: str) -> str:
    """Return what matches ``name_known_before_creation``, for a policy in another stack.

    The stack's id there would make the two stacks depend on each other.
    """
    return f"{_path_in_name(scope)}-*{suffix}"


def _path_in_name(scope: Construct, longest: int = LONGEST) -> str:
    return Names.unique_resource_name(scope, max_length=longest - _ID)

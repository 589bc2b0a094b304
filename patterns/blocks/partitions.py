"""Partitions of AWS: their ARNs, and that nothing reaches from one into another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .values import place_of, stack_of

if TYPE_CHECKING:
    from constructs import IConstruct


def check_partition(scope: IConstruct, name: object, arn: object) -> None:
    """Reject an ARN of another partition, such as ``aws-cn``, than the Region of ``scope``.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html

    Raises:
        ValueError: both are known, and differ.
    """
    found = re.match(r"arn:(aws[a-z-]*):", arn) if isinstance(arn, str) else None
    _, region = place_of(stack_of(scope)) if found else (None, None)
    if found is None or region is None:
        return
    from aws_cdk.region_info import RegionInfo  # few resources are imported

    own = RegionInfo.get(region).partition
    if own and own != found[1]:
        raise ValueError(
            f"{name} is {arn}, of the partition {found[1]}, but this stack is in {region}, of the "
            f"partition {own}: nothing reaches from one partition into another. Give an ARN that "
            f"begins with arn:{own}:, or with arn:{{Stack.of(self).partition}}: in any Region."
        )

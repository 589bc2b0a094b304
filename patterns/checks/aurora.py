"""Amazon Aurora: clusters that functions cannot reach."""

from __future__ import annotations


def no_data_api(cluster: object, *, enabled: bool) -> str | None:
    """A cluster that functions reach by the Data API has it.

    Lint E9241. Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.html

    Args:
        cluster: The cluster.
        enabled: Whether it has the Data API.
    """
    if enabled:
        return None
    return (
        f"{cluster} has no Data API, so no statement of a function would reach it. Enable it: "
        "EnableHttpEndpoint, in the CDK enable_data_api=True."
    )

"""What functions cannot reach of a cluster."""

from __future__ import annotations

from serverless_patterns.patterns.checks import aurora


def test_a_cluster_that_functions_reach_has_the_data_api() -> None:
    assert aurora.no_data_api("Shop", enabled=True) is None
    said = aurora.no_data_api("Shop", enabled=False)
    assert (said or "").startswith("Shop has no Data API, so no statement")

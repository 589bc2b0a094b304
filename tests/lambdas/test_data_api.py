"""What the Data API of Aurora is asked, and what of its answers counts."""

from __future__ import annotations

from typing import Any

import pytest

from serverless_patterns.lambdas.foundation import data_api
from tests import moto_cloud
from tests.moto_cloud import Cloud, client_error, fixture

cloud = fixture(moto_cloud.cloud)
ANSWERS: dict[str, Any] = {
    "BeginTransaction": {"transactionId": "t"},
    "ExecuteStatement": {"numberOfRecordsUpdated": 2, "formattedRecords": '[{"id": "é"}]'},
}


@pytest.fixture
def asked(cloud: Cloud) -> list[tuple[str, dict[str, Any]]]:
    """What was asked, in order."""
    found = list[tuple[str, dict[str, Any]]]()
    for name in ("CLUSTER_ARN", "SECRET_ARN", "DATABASE_NAME"):
        cloud.monkeypatch.setenv(name, f"arn:aws:rds:eu-central-1:123456789012:{name}")

    def take(name: str, sent: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        found.append((name, {key: it.rpartition(":")[2] if key in WHERE else it
                             for key, it in sent.items()}))  # fmt: skip
        return 200, ANSWERS.get(name, {})

    cloud.fakes["rds-data"] = take
    return found


WHERE = {"resourceArn": "CLUSTER_ARN", "secretArn": "SECRET_ARN", "database": "DATABASE_NAME"}


def test_a_statement_names_its_values_and_says_how_many_rows_it_wrote(asked: Any) -> None:
    assert data_api.execute("UPDATE t", "", name="é", number=7) == 2
    parameters = [
        {"name": "name", "value": {"stringValue": "é"}},
        {"name": "number", "value": {"longValue": 7}},
    ]
    said = {"sql": "UPDATE t", "parameters": parameters, **WHERE}
    assert asked == [("ExecuteStatement", said)]


def test_a_query_s_rows_come_as_json_of_its_transaction(asked: Any) -> None:
    assert data_api.rows("SELECT", "t") == [{"id": "é"}]
    said = {"sql": "SELECT", "parameters": [], "transactionId": "t", **WHERE}
    assert asked == [("ExecuteStatement", said | {"formatRecordsAs": "JSON"})]


def test_a_transaction_is_committed_or_an_error_rolls_it_back(asked: Any, cloud: Cloud) -> None:
    of_it = {name: WHERE[name] for name in ("resourceArn", "secretArn")} | {"transactionId": "t"}
    with data_api.transaction() as id_:
        assert id_ == "t"
    assert asked == [("BeginTransaction", WHERE), ("CommitTransaction", of_it)]
    asked.clear()
    cloud.fail("RollbackTransaction", client_error("ServiceUnavailable"))
    with pytest.raises(KeyError), data_api.transaction():
        raise KeyError
    assert asked == [("BeginTransaction", WHERE)]
    assert [line["code"] for line in cloud.log_lines("Not rolled back")] == ["ServiceUnavailable"]
    asked.clear()
    with pytest.raises(KeyError), data_api.transaction():
        raise KeyError
    assert asked == [("BeginTransaction", WHERE), ("RollbackTransaction", of_it)]

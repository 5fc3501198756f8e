"""Great Expectations' "unexpected rows" on pandas batches, where GE itself has it for SQL only.

The query of the expectation is run by DuckDB on the batch. Importing this module is enough: GE
registers a metric with its class.
"""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.query_metric_provider import QueryMetricProvider

_BATCH = "batch"
_SHOWN = 20  # unexpected rows that a complete result lists


class _RowQuery(QueryMetricProvider):
    value_keys = ("unexpected_rows_query",)
    query_param_name = "unexpected_rows_query"

    @classmethod
    def _over_batch(
        cls, select: str, engine: PandasExecutionEngine, domain: Any, values: Any
    ) -> list[Any]:
        """The rows of `select`, in which `{query}` is the expectation's query over the batch."""
        frame, _, _ = engine.get_compute_domain(domain, domain_type=MetricDomainTypes.TABLE)
        query = cls._format_query(cls._get_query_from_metric_value_kwargs(values), batch=_BATCH)
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            # by way of Arrow, which keeps decimals, dates and nulls what they are
            connection.register(_BATCH, pyarrow.Table.from_pandas(frame, preserve_index=False))
            return connection.execute(select.format(query=query)).fetchall()


class UnexpectedRowCount(_RowQuery):
    """How many rows the query finds."""

    metric_name = "unexpected_rows_query.row_count"

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> int:
        counted = "select count(*) from ({query}) as unexpected"
        found = cls._over_batch(
            counted, execution_engine, metric_domain_kwargs, metric_value_kwargs
        )
        return int(found[0][0])


class UnexpectedRows(_RowQuery):
    """The first rows that the query finds; only complete results show them."""

    metric_name = "unexpected_rows_query.table"

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> list[Any]:
        first = f"select * from ({{query}}) as unexpected limit {_SHOWN}"
        return cls._over_batch(first, execution_engine, metric_domain_kwargs, metric_value_kwargs)

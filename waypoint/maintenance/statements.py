"""What maintenance is on Snowflake, as statements: archive, retention, clustering.

They are given, in order, and not run here. Snowflake keeps its own files compact, and clusters by
itself what has a clustering key.
"""

from __future__ import annotations

from collections.abc import Iterator

from waypoint.contracts.model import RAW, Contract
from waypoint.maintenance.releasing import Releases
from waypoint.maintenance.retention import ARCHIVE, WHEN_EXPIRED, Aged, aged_tables, read_releases
from waypoint.project import Project

#: The stage of the cold tier; files of 100 to 200 MB.
_STAGE = "archive"
_FILE_BYTES = 160_000_000
#: Tables whose rows come by the million are clustered by the day that rows age by.
_EVENTS = ("staging", RAW)


def statements(project: Project) -> Iterator[str]:
    """The statements for the warehouse that the project's target names."""
    releases = read_releases(project)
    tables = aged_tables(project)
    if any(_is_archived(aged.contract) for aged in tables):
        yield (
            f"create stage if not exists {RAW.upper()}.{_STAGE.upper()} directory = (enable = true)"
        )
    for aged in tables:
        yield from _of_table(aged, releases)


def _of_table(aged: Aged, releases: Releases | None) -> Iterator[str]:
    contract = aged.contract
    name = f'"{contract.schema.upper()}"."{contract.name.upper()}"'
    column = contract.retention_element or aged.loaded
    days = max(1, round(contract.retention.total_seconds() / 86400)) if contract.retention else 0
    if releases is None or not releases.is_deletable(contract.full_name):
        return
    if contract.schema in _EVENTS and column:
        yield f'alter table {name} cluster by (to_date("{column.upper()}"))'
    held = releases.held_by(contract.full_name)
    if held:
        yield f"-- {contract.full_name} keeps rows older than {days} days: {held[0]}"
        return
    expired = f"\"{str(column).upper()}\" < '{aged.cutoff.isoformat(sep=' ')}'::timestamp_ntz"
    for reader in releases.readers(contract.full_name):
        schema, table = (part.upper() for part in reader.split("."))
        expired += (
            f' and "{str(aged.loaded).upper()}" <= (select max("LOADED_AT")'
            f' from "{schema}"."{table}")'
        )
    yield "begin"
    if _is_archived(contract):
        yield (
            f"copy into @{RAW.upper()}.{_STAGE.upper()}/{contract.schema}/{contract.name}/"
            f"{aged.cutoff:%Y%m%dT%H%M%S}/ from (select * from {name} where {expired})"
            f" file_format = (type = parquet) header = true max_file_size = {_FILE_BYTES}"
            " overwrite = true"
        )
    yield f"delete from {name} where {expired}"
    yield "commit"


def _is_archived(contract: Contract) -> bool:
    return contract.custom.get(WHEN_EXPIRED) == ARCHIVE

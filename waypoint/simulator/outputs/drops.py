"""Files dropped into a folder, each as a query says it line by line."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from waypoint.simulator.files import appearing
from waypoint.simulator.scenario import Drops
from waypoint.simulator.tables import Tables

_FILES = """
select
    file,
    count(*) as lines,
    string_agg(line, chr(10) order by position, line) || chr(10) as content
from {query}
group by file
order by file
"""


def drop(tables: Tables, drops: Drops, folder: Path, until: datetime) -> int:
    """Write the files of the play, which ends at `until`; how many lines they have.

    A file that is there already gets the same content again.
    """
    total = 0
    for file, lines, content in tables.execute(drops.query, _FILES).fetchall():
        with appearing(folder / file, until) as temporary:
            temporary.write_bytes(content.encode(drops.encoding))
        total += lines
    return total

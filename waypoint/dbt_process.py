"""dbt as a process that ends with the one that started it.

`python -m waypoint.dbt_process <pid> build ...` is `dbt build ...`, except that it goes when the
process <pid>, its parent, is killed, instead of holding the warehouse against the next run.
"""

from __future__ import annotations

import sys

from waypoint.ending_with_parent import end_with_parent

if __name__ == "__main__":
    end_with_parent(int(sys.argv.pop(1)))
    from dbt.cli.main import cli

    cli()

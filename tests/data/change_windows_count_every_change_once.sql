with counted as (
    select
        sum(changes) as changes,
        sum(deletes) as deletes
    from {{ ref('cdc_operations_5m') }}
),

staged as (
    select
        count(*) as changes,
        sum(case when operation = 'DELETE' then 1 else 0 end) as deletes
    from {{ ref('stg_cdc_changes') }}
    where operation <> 'MESSAGE'
)

select
    counted.changes as counted_changes,
    staged.changes as staged_changes,
    counted.deletes as counted_deletes,
    staged.deletes as staged_deletes
from counted
cross join staged
where coalesce(counted.changes, 0) <> staged.changes
    or coalesce(counted.deletes, 0) <> coalesce(staged.deletes, 0)

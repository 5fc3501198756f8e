with rows_by_day as (
    select * from {{ ref('rows_checked_daily') }}
),

-- what was read twice and turned away twice is one row
rejected_rows as (
    select
        'raw.' || quarantine.table_name as table_name,
        min(quarantine._loaded_at) as loaded_at
    from {{ source('raw', 'quarantine') }} as quarantine
    group by
        quarantine.table_name,
        quarantine.source,
        quarantine.file,
        quarantine.line,
        quarantine.partition,
        quarantine.message_offset,
        quarantine.payload
),

rejected as (
    select
        table_name,
        {{ utc_day('loaded_at') }} as loaded_day,
        cast(count(*) as bigint) as rows_quarantined,
        max(loaded_at) as loaded_at
    from rejected_rows
    group by table_name, {{ utc_day('loaded_at') }}
),

-- a rejected row says no time that can be trusted: it counts with the newest rows that were there
-- when it came
rejected_with_day as (
    select
        rejected.table_name,
        rejected.rows_quarantined,
        rejected.loaded_at,
        coalesce(max(rows_by_day.data_day), rejected.loaded_day) as data_day
    from rejected
    left join rows_by_day
        on rejected.table_name = rows_by_day.table_name
        and rejected.loaded_day >= rows_by_day.data_day
    group by
        rejected.table_name, rejected.loaded_day, rejected.rows_quarantined, rejected.loaded_at
),

judged as (
    select table_name, data_day, row_count, rows_passing, 0 as rows_quarantined, loaded_at
    from rows_by_day
    union all
    select table_name, data_day, 0, 0, rows_quarantined, loaded_at
    from rejected_with_day
),

by_day as (
    select
        table_name,
        data_day,
        cast(sum(row_count + rows_quarantined) as bigint) as rows_checked,
        cast(sum(rows_passing) as bigint) as rows_passing,
        cast(sum(row_count - rows_passing) as bigint) as rows_failing,
        cast(sum(rows_quarantined) as bigint) as rows_quarantined,
        max(loaded_at) as loaded_at
    from judged
    group by table_name, data_day
),

scored as (
    select
        *,
        cast({{ safe_divide('cast(rows_passing as double)', 'rows_checked') }} as decimal(9,6)) as score,
        cast({{ var('data_quality_target', 0.998) }} as decimal(9,6)) as target,

        -- by the counts: a score is rounded
        rows_passing < {{ var('data_quality_target', 0.998) }} * rows_checked as is_below_target
    from by_day
)

select
    table_name,
    data_day,
    rows_checked,
    rows_passing,
    rows_failing,
    rows_quarantined,
    score,
    target,
    is_below_target,
    loaded_at
from scored

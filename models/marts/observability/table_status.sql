{{ config(materialized='view') }}

-- a view: what is late is late when one looks, also where nothing is built any more
with contracted as (
    select * from {{ ref('contracted_tables') }}
),

counted as (
    select
        table_name,
        cast(sum(row_count) as bigint) as row_count,
        max(newest_at) as newest_at
    from {{ ref('rows_checked_daily') }}
    group by table_name
),

broken as (
    select
        table_name,
        cast(sum(case when severity = 'error' then 1 else 0 end) as bigint) as rules_failing,
        cast(sum(case when severity = 'warning' then 1 else 0 end) as bigint) as rules_warning,
        {{ dbt.listagg(
            "rule || ' (' || severity || ', ' || cast(violations as varchar) || ')'",
            "', '",
            "order by severity, rule"
        ) }} as rules
    from {{ ref('broken_rules') }}
    group by table_name
),

timed as (
    select
        contracted.*,
        case when contracted.is_counted then coalesce(counted.row_count, 0) end as row_count,
        counted.newest_at,
        coalesce(broken.rules_failing, 0) as rules_failing,
        coalesce(broken.rules_warning, 0) as rules_warning,
        broken.rules,
        {{ dbt.dateadd('minute', 'contracted.warn_after_minutes', 'counted.newest_at') }} as warns_at,
        {{ dbt.dateadd('minute', 'contracted.late_after_minutes', 'counted.newest_at') }} as late_at,
        {{ as_of() }} as looked_at
    from contracted
    left join counted on contracted.table_name = counted.table_name
    left join broken on contracted.table_name = broken.table_name
),

by_promise as (
    select
        *,
        case
            when late_after_minutes is null then 'fresh'
            when newest_at is null or late_at < looked_at then 'late'
            when warns_at < looked_at then 'warn'
            else 'fresh'
        end as freshness
    from timed
),

explained as (
    select
        *,
        case
            when freshness = 'late' and newest_at is null then 'no row has come yet'
            when freshness = 'late' then
                'nothing newer for more than ' || cast(late_after_minutes as varchar) || ' minutes'
            when freshness = 'warn' then
                'nothing newer for more than ' || cast(warn_after_minutes as varchar) || ' minutes'
        end as why_not_fresh,
        'broken: ' || rules as why_broken
    from by_promise
)

select
    table_name,
    schema_name,

    -- how it is
    case
        when rules_failing > 0 then 'failed'
        when freshness = 'late' then 'late'
        when freshness = 'warn' or rules_warning > 0 then 'warning'
        else 'fresh'
    end as status,
    freshness,
    cast(case when freshness = 'late' then late_at end as timestamp) as late_since,
    newest_at,
    warn_after_minutes,
    late_after_minutes,
    row_count,

    -- which rules it breaks
    rules_failing,
    rules_warning,
    coalesce(why_broken || '; ' || why_not_fresh, why_broken, why_not_fresh) as why,

    -- whom it concerns
    owner,
    is_critical
from explained

{{ config(materialized='incremental', unique_key='window_start') }}

{%- set qualified_table = "concat(coalesce(changes.schema_name || '.', ''), changes.table_name)" %}
{%- set compared_days = 7 %}

-- what a late change says bears on the later changes of the same row
with touched_records as (
    select
        table_name,
        record_key,
        min(changed_at) as since
    from {{ ref('stg_cdc_changes') }}
    where operation <> 'MESSAGE' and {{ is_new('loaded_at') }}
    group by table_name, record_key
),

touched as (
    select {{ window_start('changed_at', 5) }} as window_start
    from {{ ref('stg_cdc_changes') }}
    where operation <> 'MESSAGE' and {{ is_new('loaded_at') }}

    union

    select {{ window_start('changes.changed_at', 5) }} as window_start
    from {{ ref('stg_cdc_changes') }} as changes
    inner join touched_records
        on changes.table_name = touched_records.table_name
        and changes.record_key = touched_records.record_key
        and changes.changed_at >= touched_records.since
    where changes.changed_at >= (select min(since) from touched_records)
),

horizon as (
    select {{ dbt.dateadd('day', -compared_days, 'min(window_start)') }} as starts_at from touched
),

-- the changes to count, after those of some days before, which they are compared with
ordered as (
    select
        {{ qualified_table }} as table_name,
        record_key,
        operation,
        before_values,
        primary_key,
        lag(after_values) over (
            partition by schema_name, table_name, record_key
            order by changed_at, coalesce(log_position, ''), kafka_partition, kafka_offset
        ) as values_so_far,
        lag(changed_at) over (
            partition by schema_name, table_name, record_key
            order by changed_at, coalesce(log_position, ''), kafka_partition, kafka_offset
        ) as changed_before_at,
        changed_at,
        {{ window_start('changed_at', 5) }} as window_start,
        loaded_at
    from {{ ref('stg_cdc_changes') }} as changes
    where operation <> 'MESSAGE' and {{ not_before_horizon('changed_at') }}
),

counted_changes as (
    select
        table_name,
        record_key,
        operation,
        -- what the row was before is not what its change before had made of it: one in between is
        -- lost; PostgreSQL leaves out large values that did not change, which is no loss, and tells
        -- no more than the key where the table's replica identity is not FULL
        case
            when operation = 'UPDATE'
                and record_key is not null
                and changed_before_at >= {{ dbt.dateadd('day', -compared_days, 'changed_at') }}
                and before_values <> values_so_far
                and before_values <> coalesce(primary_key, '')
                and values_so_far not like {{ unavailable_value() }}
                then 1
            else 0
        end as follows_gap,
        changed_at,
        window_start,
        loaded_at
    from ordered
    where {{ is_touched('window_start') }}
),

-- when a row was first told of
introductions as (
    select
        {{ qualified_table }} as table_name,
        record_key,
        min(changed_at) as introduced_at
    from {{ ref('stg_cdc_changes') }} as changes
    where operation in ('INSERT', 'SNAPSHOT')
        and {{ is_touched('record_key', 'counted_changes') }}
    group by {{ qualified_table }}, record_key
),

checked as (
    select
        counted_changes.*,
        case
            when counted_changes.operation in ('UPDATE', 'DELETE')
                and counted_changes.record_key is not null
                and (
                    introductions.introduced_at is null
                    or introductions.introduced_at > counted_changes.changed_at
                )
                then 1
            else 0
        end as lacks_insert
    from counted_changes
    left join introductions
        on counted_changes.table_name = introductions.table_name
        and counted_changes.record_key = introductions.record_key
),

counted as (
    select
        window_start,
        table_name,

        cast(count(*) as bigint) as changes,
        cast(sum(case when operation = 'INSERT' then 1 else 0 end) as bigint) as inserts,
        cast(sum(case when operation = 'UPDATE' then 1 else 0 end) as bigint) as updates,
        cast(sum(case when operation = 'DELETE' then 1 else 0 end) as bigint) as deletes,
        cast(sum(case when operation = 'SNAPSHOT' then 1 else 0 end) as bigint) as snapshots,
        cast(sum(case when operation = 'TRUNCATE' then 1 else 0 end) as bigint) as truncates,
        cast(count(distinct record_key) as bigint) as records,

        -- consistency
        cast(sum(lacks_insert) as bigint) as changes_without_insert,
        cast(sum(follows_gap) as bigint) as gaps,

        max(loaded_at) as loaded_at
    from checked
    group by window_start, table_name
)

select * from counted

{{ config(materialized='incremental', unique_key='window_start') }}

with changes as (
    select
        *,
        concat(coalesce(schema_name || '.', ''), table_name) as qualified_table,
        {{ window_start('changed_at', 5) }} as window_start
    from {{ ref('stg_cdc_changes') }}
    where operation <> 'MESSAGE'
),

-- what a late change says bears on the later changes of the same row
touched_records as (
    select
        qualified_table,
        record_key,
        min(changed_at) as since
    from changes
    where {{ is_new('loaded_at') }}
    group by qualified_table, record_key
),

touched as (
    select changes.window_start
    from changes
    inner join touched_records
        on changes.qualified_table = touched_records.qualified_table
        and changes.record_key = touched_records.record_key
        and changes.changed_at >= touched_records.since
    where changes.changed_at >= (select min(since) from touched_records)

    union

    select window_start from changes
    where {{ is_new('loaded_at') }}
),

counted_changes as (
    select * from changes
    {%- if is_incremental() %}
    where changed_at >= (select min(window_start) from touched)
        and window_start in (select window_start from touched)
    {%- endif %}
),

-- the whole history of the rows that changed
histories as (
    select
        change_id,
        before_values,
        lag(after_values) over (
            partition by qualified_table, record_key
            order by changed_at, kafka_partition, kafka_offset
        ) as previous_values,
        max(case when operation in ('INSERT', 'SNAPSHOT') then 1 else 0 end) over (
            partition by qualified_table, record_key
            order by changed_at, kafka_partition, kafka_offset
            rows between unbounded preceding and current row
        ) as is_known
    from changes
    where record_key is not null
    {%- if is_incremental() %}
        and (qualified_table, record_key) in (
            select qualified_table, record_key from counted_changes
        )
    {%- endif %}
),

checked as (
    select
        counted_changes.*,
        case
            when counted_changes.operation in ('UPDATE', 'DELETE') and histories.is_known = 0 then 1
            else 0
        end as lacks_insert,
        -- what the row was before is not what it was after its change before: one in between is lost;
        -- PostgreSQL leaves large values that did not change out, which is no loss
        case
            when counted_changes.operation = 'UPDATE'
                and histories.before_values <> histories.previous_values
                and histories.previous_values not like '%__debezium_unavailable_value%'
                then 1
            else 0
        end as follows_gap
    from counted_changes
    left join histories on counted_changes.change_id = histories.change_id
),

counted as (
    select
        window_start,
        qualified_table as table_name,

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
    group by window_start, qualified_table
)

select * from counted

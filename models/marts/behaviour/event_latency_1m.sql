{{ config(materialized='incremental', unique_key='window_start') }}

with events as (
    select
        {{ window_start('event_at', 1) }} as window_start,
        app_type,
        is_late,
        -- a sender's clock may be a little ahead: that is no negative wait
        greatest({{ millis_between('event_at', 'received_at') }}, 0) as to_topic_ms,
        greatest({{ millis_between('event_at', 'loaded_at') }}, 0) as to_warehouse_ms,
        loaded_at
    from {{ ref('stg_app_events') }}
    where is_time_plausible and {{ in_touched_window(ref('stg_app_events'), 'event_at', 1) }}
),

measured as (
    select
        window_start,
        app_type,

        cast(count(*) as bigint) as events,
        cast(sum(case when is_late then 1 when not is_late then 0 end) as bigint) as late_events,

        -- milliseconds from the event to the topic
        cast(percentile_cont(0.5) within group (order by to_topic_ms) as double) as to_topic_ms_p50,
        cast(percentile_cont(0.95) within group (order by to_topic_ms) as double) as to_topic_ms_p95,
        cast(percentile_cont(0.99) within group (order by to_topic_ms) as double) as to_topic_ms_p99,
        cast(max(to_topic_ms) as bigint) as to_topic_ms_max,

        -- milliseconds from the event to the warehouse
        cast(percentile_cont(0.5) within group (order by to_warehouse_ms) as double)
            as to_warehouse_ms_p50,
        cast(percentile_cont(0.95) within group (order by to_warehouse_ms) as double)
            as to_warehouse_ms_p95,
        cast(percentile_cont(0.99) within group (order by to_warehouse_ms) as double)
            as to_warehouse_ms_p99,
        cast(max(to_warehouse_ms) as bigint) as to_warehouse_ms_max,

        max(loaded_at) as loaded_at
    from events
    group by window_start, app_type
)

select * from measured

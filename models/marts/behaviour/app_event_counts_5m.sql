{{ config(materialized='incremental', unique_key='window_start') }}

with events as (
    select
        *,
        {{ window_start('event_at', 5) }} as window_start
    from {{ ref('stg_app_events') }}
    where is_time_plausible and {{ in_touched_window(ref('stg_app_events'), 'event_at', 5) }}
),

counted as (
    select
        window_start,
        event_type,
        app_type,

        cast(count(*) as bigint) as events,
        cast(count(distinct user_id) as bigint) as unique_users,
        cast(count(distinct session_id) as bigint) as unique_sessions,

        max(loaded_at) as loaded_at
    from events
    group by window_start, event_type, app_type
)

select * from counted

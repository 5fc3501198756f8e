-- Each mart cuts the same events another way: by five minutes, by minute, by hour and region.
with counted as (
    select 'app_event_counts_5m' as mart, sum(events) as events from {{ ref('app_event_counts_5m') }}
    union all
    select 'event_latency_1m' as mart, sum(events) as events from {{ ref('event_latency_1m') }}
    union all
    select 'hourly_event_metrics' as mart, sum(events) as events from {{ ref('hourly_event_metrics') }}
),

staged as (
    select count(*) as events from {{ ref('stg_app_events') }}
    where is_time_plausible
)

select
    counted.mart,
    counted.events as counted,
    staged.events as staged
from counted
cross join staged
where coalesce(counted.events, 0) <> staged.events

{{ config(materialized='incremental', unique_key='hour_at') }}

with events as (
    select
        *,
        {{ window_start('event_at', 60) }} as hour_at
    from {{ ref('stg_app_events') }}
    where is_time_plausible and {{ in_touched_window(ref('stg_app_events'), 'event_at', 60) }}
),

countries as (
    select * from {{ ref('ref_countries') }}
),

-- the country is the one that the event itself names, so that a user who moves leaves the past alone
located as (
    select
        events.*,
        coalesce(countries.region, 'Unknown') as region,
        -- amounts in different currencies are never added; XXX is ISO 4217's code for none
        case
            when events.event_type = 'payment_completed' then coalesce(events.currency, 'XXX')
            else 'XXX'
        end as paid_currency
    from events
    left join countries on events.country = countries.country_code
),

measured as (
    select
        hour_at,
        event_type,
        region,
        paid_currency as currency,

        cast(count(*) as bigint) as events,
        cast(count(distinct user_id) as bigint) as unique_users,

        -- milliseconds that the service took; null where no event says it
        cast(sum(processing_ms) as double) / nullif(count(processing_ms), 0) as processing_ms_mean,
        cast(percentile_cont(0.95) within group (order by processing_ms) as double)
            as processing_ms_p95,

        cast(
            coalesce(sum(case when event_type = 'payment_completed' then price end), 0) as decimal(38,4)
        ) as revenue,

        max(loaded_at) as loaded_at
    from located
    group by hour_at, event_type, region, paid_currency
)

select * from measured

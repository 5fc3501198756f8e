{{ config(materialized='incremental', unique_key='day') }}

with new_days as (
    select distinct {{ utc_day('event_at') }} as day from {{ ref('stg_app_events') }}
    where is_time_plausible and {{ is_new('loaded_at') }}
),

-- a step counts for the day of its search, which is the step's own day or the day before
touched as (
    select day from new_days
    union
    select cast({{ dbt.dateadd('day', -1, 'day') }} as date) as day from new_days
),

-- and a day's visits go on into the next
needed_days as (
    select day from touched
    union
    select cast({{ dbt.dateadd('day', 1, 'day') }} as date) as day from touched
),

events as (
    select
        event_id,
        session_id,
        app_type,
        event_type,
        event_at,
        {{ utc_day('event_at') }} as event_day,
        loaded_at
    from {{ ref('stg_app_events') }}
    where event_type in ('search', 'booking_view', 'booking_created', 'payment_completed')
        and session_id is not null
        and is_time_plausible
        and {{ is_on_touched_day('event_at', 'needed_days') }}
),

-- a visit begins with the first search of a session on a day ...
searches as (
    select
        session_id,
        event_day as day,
        app_type,
        event_at as searched_at
    from events
    where event_type = 'search'
    qualify row_number() over (
        partition by session_id, event_day
        order by event_at, event_id
    ) = 1
),

-- ... and ends 24 hours later, or when the session searches again on the next day
visits as (
    select
        session_id,
        day,
        app_type,
        searched_at,
        least(
            {{ dbt.dateadd('hour', 24, 'searched_at') }},
            coalesce(
                lead(searched_at) over (partition by session_id order by day),
                {{ dbt.dateadd('hour', 24, 'searched_at') }}
            )
        ) as ended_at
    from searches
),

steps as (
    select
        visits.session_id,
        visits.day,
        visits.app_type,
        events.event_type,
        events.event_at,
        events.loaded_at
    from visits
    inner join events
        on visits.session_id = events.session_id
        and visits.searched_at <= events.event_at
        and visits.ended_at > events.event_at
    where {{ is_touched('visits.day', touched_keys='day') }}
),

-- each step counts from the first time that it follows the step before
viewed as (
    select
        *,
        min(case when event_type = 'booking_view' then event_at end)
            over (partition by session_id, day) as viewed_at
    from steps
),

booked as (
    select
        *,
        min(case when event_type = 'booking_created' and event_at >= viewed_at then event_at end)
            over (partition by session_id, day) as booked_at
    from viewed
),

paid as (
    select
        *,
        min(case when event_type = 'payment_completed' and event_at >= booked_at then event_at end)
            over (partition by session_id, day) as paid_at
    from booked
),

sessions as (
    select
        session_id,
        day,
        app_type,
        max(viewed_at) as viewed_at,
        max(booked_at) as booked_at,
        max(paid_at) as paid_at,
        max(loaded_at) as loaded_at
    from paid
    group by session_id, day, app_type
),

counted as (
    select
        day,
        app_type,
        cast(count(*) as bigint) as searches,
        cast(count(viewed_at) as bigint) as views,
        cast(count(booked_at) as bigint) as bookings,
        cast(count(paid_at) as bigint) as payments,
        max(loaded_at) as loaded_at
    from sessions
    group by day, app_type
),

with_rates as (
    select
        day,
        app_type,

        -- sessions that came this far
        searches,
        views,
        bookings,
        payments,

        -- of the sessions at the step before
        {{ safe_divide('views', 'searches') }} as view_rate,
        {{ safe_divide('bookings', 'views') }} as booking_rate,
        {{ safe_divide('payments', 'bookings') }} as payment_rate,

        -- of all that searched
        {{ safe_divide('payments', 'searches') }} as conversion_rate,

        loaded_at
    from counted
)

select * from with_rates

{{ config(materialized='incremental', unique_key='window_start') }}

-- what lies before the day before the first new row is not looked at
with horizon as (
    select {{ dbt.dateadd('hour', -25, 'min(happened_at)') }} as starts_at
    from (
        select clicked_at as happened_at from {{ ref('stg_clicks') }}
        where is_time_plausible and {{ is_new('loaded_at') }}
        union all
        select event_at as happened_at from {{ ref('stg_app_events') }}
        where is_time_plausible and {{ is_new('loaded_at') }}
    ) as new_rows
),

-- the first part of the path: pages of single places are one page, that of places
activity as (
    select
        concat('/', split_part(page, '/', 2)) as page,
        user_id,
        clicked_at as happened_at,
        1 as clicks,
        0 as views,
        loaded_at
    from {{ ref('stg_clicks') }}
    where is_time_plausible and page is not null and {{ not_before_horizon('clicked_at') }}

    union all

    select
        concat('/', split_part(page, '/', 2)) as page,
        user_id,
        event_at as happened_at,
        0 as clicks,
        1 as views,
        loaded_at
    from {{ ref('stg_app_events') }}
    where is_time_plausible
        and event_type = 'page_view'
        and page is not null
        and {{ not_before_horizon('event_at') }}
),

bookings as (
    select
        user_id,
        event_at as booked_at,
        loaded_at
    from {{ ref('stg_app_events') }}
    where is_time_plausible
        and event_type = 'booking_created'
        and {{ not_before_horizon('event_at') }}
),

-- a booking changes the windows of the day before it
touched as (
    select {{ window_start('happened_at', 10) }} as window_start
    from activity
    where {{ is_new('loaded_at') }}

    union

    select {{ window_start('activity.happened_at', 10) }} as window_start
    from bookings
    inner join activity
        on bookings.user_id = activity.user_id
        and activity.happened_at <= bookings.booked_at
        and activity.happened_at > {{ dbt.dateadd('hour', -24, 'bookings.booked_at') }}
    where {{ is_new('bookings.loaded_at') }}
),

-- what one user did on one page in one window
visits as (
    select
        {{ window_start('happened_at', 10) }} as window_start,
        page,
        user_id,
        sum(clicks) as clicks,
        sum(views) as views,
        min(happened_at) as began_at,
        max(loaded_at) as loaded_at
    from activity
    {%- if is_incremental() %}
    where happened_at >= (select min(window_start) from touched)
        and {{ window_start('happened_at', 10) }} in (select window_start from touched)
    {%- endif %}
    group by {{ window_start('happened_at', 10) }}, page, user_id
),

conversions as (
    select
        visits.window_start,
        visits.page,
        visits.user_id,
        max(bookings.loaded_at) as loaded_at
    from visits
    inner join bookings
        on visits.user_id = bookings.user_id
        and visits.began_at <= bookings.booked_at
        and bookings.booked_at < {{ dbt.dateadd('hour', 24, 'visits.began_at') }}
    group by visits.window_start, visits.page, visits.user_id
),

outcomes as (
    select
        visits.*,
        case when conversions.user_id is not null then 1 else 0 end as conversions,
        greatest(visits.loaded_at, coalesce(conversions.loaded_at, visits.loaded_at))
            as newest_loaded_at
    from visits
    left join conversions
        on visits.window_start = conversions.window_start
        and visits.page = conversions.page
        and visits.user_id = conversions.user_id
),

counted as (
    select
        window_start,
        page,
        cast(sum(views) as bigint) as page_views,
        cast(sum(clicks) as bigint) as clicks,
        cast(count(*) as bigint) as unique_users,
        cast(sum(case when clicks > 0 then 1 else 0 end) as bigint) as users_who_clicked,
        cast(sum(conversions) as bigint) as users_who_booked,
        max(newest_loaded_at) as loaded_at
    from outcomes
    group by window_start, page
),

with_rates as (
    select
        window_start,
        page,

        page_views,
        clicks,
        unique_users,
        users_who_clicked,
        users_who_booked,

        -- of the users on the page
        {{ safe_divide('users_who_clicked', 'unique_users') }} as click_through_rate,
        {{ safe_divide('users_who_booked', 'unique_users') }} as conversion_rate,

        loaded_at
    from counted
)

select * from with_rates

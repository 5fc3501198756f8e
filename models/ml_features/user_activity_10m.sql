{{ config(materialized='incremental', unique_key='window_start') }}

-- news of a place bears on the interactions with it that came later
with news as (
    select
        place_id,
        min(updated_at) as updated_at
    from {{ ref('stg_place_updates') }}
    where is_time_plausible and category is not null and {{ is_new('loaded_at') }}
    group by place_id
),

people_of_changed_consent as (
    {{ people_of_changed_consent('last_geohash') }}
),

touched as (
    select {{ window_start('interacted_at', 10) }} as window_start
    from {{ ref('stg_user_interactions') }}
    where is_time_plausible and {{ is_new('loaded_at') }}

    union

    select {{ window_start('located_at', 10) }} as window_start
    from {{ ref('stg_location_events') }}
    where is_time_plausible and {{ is_new('loaded_at') }}

    union

    select {{ window_start('interactions.interacted_at', 10) }} as window_start
    from {{ ref('stg_user_interactions') }} as interactions
    inner join news
        on interactions.place_id = news.place_id
        and interactions.interacted_at >= news.updated_at
    where interactions.is_time_plausible
        and interactions.interacted_at >= (select min(updated_at) from news)

    union

    -- of who withdrew all windows; of who agreed those in which something says where they were
    select {{ window_start('interactions.interacted_at', 10) }} as window_start
    from {{ ref('stg_user_interactions') }} as interactions
    inner join people_of_changed_consent as people
        on interactions.user_id = people.user_id
        and (interactions.geohash is not null and interactions.has_location_consent) = people.has_agreed
    where interactions.is_time_plausible

    union

    select {{ window_start('positions.located_at', 10) }} as window_start
    from {{ ref('stg_location_events') }} as positions
    inner join people_of_changed_consent as people on positions.user_id = people.user_id
    where positions.is_time_plausible and positions.has_location_consent
),

horizon as (
    select min(window_start) as starts_at from touched
),

interactions as (
    select
        *,
        {{ window_start('interacted_at', 10) }} as window_start
    from {{ ref('stg_user_interactions') }}
    where is_time_plausible
        and {{ not_before_horizon('interacted_at') }}
        and {{ is_touched(window_start('interacted_at', 10), touched_keys='window_start') }}
),

-- each category of a place and the time for which it was known
category_changes as (
    select
        *,
        lag(category) over (
            partition by place_id
            order by updated_at, loaded_at, channel, kafka_partition, kafka_offset
        ) as category_before
    from {{ ref('stg_place_updates') }}
    where is_time_plausible and category is not null
),

categories as (
    select
        place_id,
        category,
        updated_at as known_from,
        coalesce(
            lead(updated_at) over (
                partition by place_id
                order by updated_at, loaded_at, channel, kafka_partition, kafka_offset
            ),
            cast('9999-12-31' as timestamp)
        ) as known_to,
        loaded_at
    from category_changes
    where category_before is null or category <> category_before
),

windowed as (
    select
        interactions.*,
        categories.category,
        greatest(interactions.loaded_at, coalesce(categories.loaded_at, interactions.loaded_at))
            as newest_loaded_at
    from interactions
    left join categories
        on interactions.place_id = categories.place_id
        and interactions.interacted_at >= categories.known_from
        and interactions.interacted_at < categories.known_to
),

counted as (
    select
        user_id,
        window_start,
        cast(count(*) as bigint) as interactions,
        cast(count(distinct place_id) as bigint) as places,
        cast(sum(case when interaction_type = 'visit' then 1 else 0 end) as bigint) as visits,
        cast(count(rating) as bigint) as ratings,
        cast(sum(rating) as double) / nullif(count(rating), 0) as mean_rating,
        max(interacted_at) as last_interacted_at,
        max(newest_loaded_at) as loaded_at
    from windowed
    group by user_id, window_start
),

-- the time from the first to the last interaction of a visit, added up over the visits
sessions as (
    select
        user_id,
        window_start,
        {{ millis_between('min(interacted_at)', 'max(interacted_at)') }} as duration_ms
    from windowed
    where session_id is not null
    group by user_id, window_start, session_id
),

durations as (
    select
        user_id,
        window_start,
        cast(sum(duration_ms) as double) / 1000 as session_seconds
    from sessions
    group by user_id, window_start
),

recent_categories as (
    select
        user_id,
        window_start,
        category,
        max(interacted_at) as last_interacted_at
    from windowed
    where category is not null
    group by user_id, window_start, category
),

category_lists as (
    select
        user_id,
        window_start,
        {{ dbt.listagg('category', "','", 'order by last_interacted_at desc, category') }} as categories
    from recent_categories
    group by user_id, window_start
),

positions as (
    select
        user_id,
        window_start,
        {{ consented_geohash('windowed') }} as geohash,
        interacted_at as located_at,
        event_id,
        loaded_at
    from windowed
    where geohash is not null and has_location_consent

    union all

    select
        user_id,
        {{ window_start('located_at', 10) }} as window_start,
        {{ consented_geohash('reported') }} as geohash,
        located_at,
        event_id,
        loaded_at
    from {{ ref('stg_location_events') }} as reported
    where is_time_plausible
        and has_location_consent
        and {{ not_before_horizon('located_at') }}
        and {{ is_touched(window_start('located_at', 10), touched_keys='window_start') }}
),

last_positions as (
    select * from positions
    qualify row_number() over (
        partition by user_id, window_start
        order by located_at desc, event_id desc
    ) = 1
),

features as (
    select
        counted.user_id,
        counted.window_start,
        cast({{ dbt.dateadd('minute', 10, 'counted.window_start') }} as timestamp) as window_end,

        -- what was done
        counted.interactions,
        counted.places,
        counted.visits,
        counted.ratings,
        counted.mean_rating,
        category_lists.categories as recent_categories,
        coalesce(durations.session_seconds, 0) as session_seconds,

        -- where
        last_positions.geohash as last_geohash,

        -- timestamps
        counted.last_interacted_at,
        greatest(counted.loaded_at, coalesce(last_positions.loaded_at, counted.loaded_at)) as loaded_at
    from counted
    left join durations
        on counted.user_id = durations.user_id
        and counted.window_start = durations.window_start
    left join category_lists
        on counted.user_id = category_lists.user_id
        and counted.window_start = category_lists.window_start
    left join last_positions
        on counted.user_id = last_positions.user_id
        and counted.window_start = last_positions.window_start
)

select * from features

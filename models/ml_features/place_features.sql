{{ config(materialized='incremental', unique_key=['place_id', 'day']) }}

-- what happens on a day changes what is known of the place from that day on
with touched as (
    select
        place_id,
        min(day) as since
    from (
        select place_id, {{ utc_day('interacted_at') }} as day
        from {{ ref('stg_user_interactions') }}
        where is_time_plausible and {{ is_new('loaded_at') }}

        union all

        select place_id, {{ utc_day('served_at') }} as day
        from {{ ref('stg_recommendations') }}
        where is_time_plausible and {{ is_new('loaded_at') }}

        union all

        select place_id, {{ utc_day('updated_at') }} as day
        from {{ ref('stg_place_updates') }}
        where is_time_plausible and {{ is_new('loaded_at') }}
    ) as new_rows
    group by place_id
),

horizon as (
    select cast(min(since) as timestamp) as starts_at from touched
),

daily_interactions as (
    select
        interactions.place_id,
        {{ utc_day('interactions.interacted_at') }} as day,
        sum(case when interaction_type = 'place_view' then 1 else 0 end) as views,
        sum(case when interaction_type = 'visit' then 1 else 0 end) as visits,
        sum(case when interaction_type = 'save' then 1 else 0 end) as saves,
        sum(
            case when interaction_type = 'place_view' and recommendation_id is not null then 1 else 0 end
        ) as recommendation_clicks,
        count(rating) as ratings,
        sum(rating) as rating_sum,
        max(interacted_at) as last_interacted_at,
        max(loaded_at) as loaded_at
    from {{ ref('stg_user_interactions') }} as interactions
    inner join touched
        on interactions.place_id = touched.place_id
        and {{ utc_day('interactions.interacted_at') }} >= touched.since
    where is_time_plausible and {{ not_before_horizon('interacted_at') }}
    group by interactions.place_id, {{ utc_day('interactions.interacted_at') }}
),

daily_recommendations as (
    select
        recommendations.place_id,
        {{ utc_day('recommendations.served_at') }} as day,
        count(*) as times_recommended,
        sum(position) as position_sum,
        max(loaded_at) as loaded_at
    from {{ ref('stg_recommendations') }} as recommendations
    inner join touched
        on recommendations.place_id = touched.place_id
        and {{ utc_day('recommendations.served_at') }} >= touched.since
    where is_time_plausible and {{ not_before_horizon('served_at') }}
    group by recommendations.place_id, {{ utc_day('recommendations.served_at') }}
),

ordered_updates as (
    select
        updates.*,
        {{ utc_day('updates.updated_at') }} as day,
        row_number() over (
            partition by updates.place_id
            order by updated_at, loaded_at, channel, kafka_partition, kafka_offset
        ) as version
    from {{ ref('stg_place_updates') }} as updates
    inner join touched
        on updates.place_id = touched.place_id
        and {{ utc_day('updates.updated_at') }} >= touched.since
    where is_time_plausible and {{ not_before_horizon('updated_at') }}
),

daily_updates as (
    select
        place_id,
        day,
        max_by(category, case when category is not null then version end) as category,
        max_by(price_level, case when price_level is not null then version end) as price_level,
        max_by(rating, case when rating is not null then version end) as listed_rating,
        max_by(popularity, case when popularity is not null then version end) as popularity,
        max(loaded_at) as loaded_at
    from ordered_updates
    group by place_id, day
),

days as (
    select place_id, day from daily_interactions
    union
    select place_id, day from daily_recommendations
    union
    select place_id, day from daily_updates
),

daily as (
    select
        days.place_id,
        days.day,
        daily_updates.category,
        daily_updates.price_level,
        daily_updates.listed_rating,
        daily_updates.popularity,
        coalesce(daily_interactions.views, 0) as views,
        coalesce(daily_interactions.visits, 0) as visits,
        coalesce(daily_interactions.saves, 0) as saves,
        coalesce(daily_interactions.recommendation_clicks, 0) as recommendation_clicks,
        coalesce(daily_interactions.ratings, 0) as ratings,
        coalesce(daily_interactions.rating_sum, 0) as rating_sum,
        coalesce(daily_recommendations.times_recommended, 0) as times_recommended,
        coalesce(daily_recommendations.position_sum, 0) as position_sum,
        daily_interactions.last_interacted_at,
        greatest(
            coalesce(daily_interactions.loaded_at, cast('1900-01-01' as timestamp)),
            coalesce(daily_recommendations.loaded_at, cast('1900-01-01' as timestamp)),
            coalesce(daily_updates.loaded_at, cast('1900-01-01' as timestamp))
        ) as loaded_at,
        false as is_kept
    from days
    left join daily_interactions
        on days.place_id = daily_interactions.place_id and days.day = daily_interactions.day
    left join daily_recommendations
        on days.place_id = daily_recommendations.place_id and days.day = daily_recommendations.day
    left join daily_updates
        on days.place_id = daily_updates.place_id and days.day = daily_updates.day

    {%- if is_incremental() %}

    union all

    -- what was known the day before the first touched one, which new rows do not bear on
    select
        kept.place_id,
        kept.day,
        kept.category,
        kept.price_level,
        kept.listed_rating,
        kept.popularity,
        kept.views,
        kept.visits,
        kept.saves,
        kept.recommendation_clicks,
        kept.ratings,
        kept.rating_sum,
        kept.times_recommended,
        kept.position_sum,
        kept.last_interacted_at,
        kept.loaded_at,
        true as is_kept
    from {{ this }} as kept
    inner join touched on kept.place_id = touched.place_id and kept.day < touched.since
    qualify row_number() over (partition by kept.place_id order by kept.day desc) = 1
    {%- endif %}
),

{%- set so_far = 'over (partition by place_id order by day rows between unbounded preceding and current row)' %}

known as (
    select
        place_id,
        day,
        is_kept,
        {{ last_known('category', 'place_id', 'day') }} as category,
        {{ last_known('price_level', 'place_id', 'day') }} as price_level,
        {{ last_known('listed_rating', 'place_id', 'day') }} as listed_rating,
        {{ last_known('popularity', 'place_id', 'day') }} as popularity,
        sum(views) {{ so_far }} as views,
        sum(visits) {{ so_far }} as visits,
        sum(saves) {{ so_far }} as saves,
        sum(recommendation_clicks) {{ so_far }} as recommendation_clicks,
        sum(ratings) {{ so_far }} as ratings,
        sum(rating_sum) {{ so_far }} as rating_sum,
        sum(times_recommended) {{ so_far }} as times_recommended,
        sum(position_sum) {{ so_far }} as position_sum,
        max(last_interacted_at) {{ so_far }} as last_interacted_at,
        max(loaded_at) {{ so_far }} as loaded_at
    from daily
),

features as (
    select
        place_id,
        day,
        cast({{ dbt.dateadd('day', 1, 'day') }} as timestamp) as features_at,

        -- what sources say of it
        category,
        price_level,
        listed_rating,
        popularity,

        -- what people did with it
        cast(views as bigint) as views,
        cast(visits as bigint) as visits,
        cast(saves as bigint) as saves,
        cast(ratings as bigint) as ratings,
        cast(rating_sum as decimal(18,1)) as rating_sum,
        cast(rating_sum as double) / nullif(ratings, 0) as mean_rating,
        {{ safe_divide('visits', 'views') }} as visit_rate,

        -- what recommending it did
        cast(times_recommended as bigint) as times_recommended,
        cast(recommendation_clicks as bigint) as recommendation_clicks,
        cast(position_sum as bigint) as position_sum,
        cast(position_sum as double) / nullif(times_recommended, 0) as mean_position,
        {{ safe_divide('recommendation_clicks', 'times_recommended') }} as click_rate,

        -- timestamps
        last_interacted_at,
        loaded_at
    from known
    where not is_kept
)

select * from features

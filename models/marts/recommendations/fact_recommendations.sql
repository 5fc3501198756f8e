{{ config(materialized='incremental', unique_key=['recommendation_id', 'place_id']) }}

{%- set credit_days = var('recommendation_credit_days', 7) %}

-- a recommendation changes with what its user does at its place in the days after it
with new_interactions as (
    select
        user_id,
        place_id,
        interacted_at
    from {{ ref('stg_user_interactions') }}
    where is_time_plausible and {{ is_new('loaded_at') }}
),

new_recommendations as (
    select
        recommendation_id,
        place_id,
        served_at
    from {{ ref('stg_recommendations') }}
    where is_time_plausible and {{ is_new('loaded_at') }}
),

people_of_changed_consent as (
    {{ people_of_changed_consent('geohash') }}
),

-- of who withdrew all that was shown to them; of who agreed what was asked for from somewhere
newly_consented as (
    select
        served.recommendation_id,
        served.place_id,
        served.served_at
    from {{ ref('stg_recommendations') }} as served
    inner join people_of_changed_consent as people
        on served.user_id = people.user_id
        and (served.geohash is not null and served.has_location_consent) = people.has_agreed
    where served.is_time_plausible
),

horizon as (
    select {{ dbt.dateadd('day', -credit_days, 'min(happened_at)') }} as starts_at
    from (
        select interacted_at as happened_at from new_interactions
        union all
        select served_at as happened_at from new_recommendations
        union all
        select served_at as happened_at from newly_consented
    ) as new_rows
),

touched as (
    select
        recommendation_id,
        place_id
    from new_recommendations

    union

    select
        recommendation_id,
        place_id
    from newly_consented

    union

    select
        served.recommendation_id,
        served.place_id
    from {{ ref('stg_recommendations') }} as served
    inner join new_interactions
        on served.user_id = new_interactions.user_id
        and served.place_id = new_interactions.place_id
    where {{ not_before_horizon('served.served_at') }}
),

recommendations as (
    select * from {{ ref('stg_recommendations') }}
    where is_time_plausible
        and {{ is_touched('recommendation_id, place_id') }}
        and {{ not_before_horizon('served_at') }}
),

interactions as (
    select * from {{ ref('stg_user_interactions') }}
    where is_time_plausible and {{ not_before_horizon('interacted_at') }}
),

-- what names a recommendation counts for that one alone; a visit or rating that names none counts
-- for every recommendation that may have led to it
credited as (
    select
        recommendations.recommendation_id,
        recommendations.place_id,
        interactions.event_id,
        interactions.interaction_type,
        interactions.rating,
        interactions.interacted_at,
        interactions.loaded_at
    from recommendations
    inner join interactions
        on recommendations.user_id = interactions.user_id
        and recommendations.place_id = interactions.place_id
        and interactions.interacted_at >= recommendations.served_at
        and interactions.interacted_at < {{ dbt.dateadd('day', credit_days, 'recommendations.served_at') }}
        and (
            interactions.recommendation_id = recommendations.recommendation_id
            or (
                interactions.recommendation_id is null
                and interactions.interaction_type in ('visit', 'rating')
            )
        )
),

last_rated as (
    select
        recommendation_id,
        place_id,
        rating
    from credited
    where rating is not null
    qualify row_number() over (
        partition by recommendation_id, place_id
        order by interacted_at desc, event_id desc
    ) = 1
),

outcomes as (
    select
        recommendation_id,
        place_id,
        min(case when interaction_type in ('place_view', 'click') then interacted_at end)
            as clicked_at,
        min(case when interaction_type = 'visit' then interacted_at end) as visited_at,
        min(case when interaction_type = 'save' then interacted_at end) as saved_at,
        max(loaded_at) as loaded_at
    from credited
    group by recommendation_id, place_id
),

with_outcomes as (
    select
        -- ids
        recommendations.recommendation_id,
        recommendations.place_id,
        recommendations.user_id,
        recommendations.session_id,

        -- what was shown
        recommendations.position,
        recommendations.score,
        recommendations.algorithm,
        recommendations.model_version,
        recommendations.search_query,
        recommendations.latency_ms,
        {{ consented_geohash('recommendations') }} as geohash,

        -- what came of it
        outcomes.clicked_at is not null as is_clicked,
        outcomes.visited_at is not null as is_visited,
        outcomes.saved_at is not null as is_saved,
        last_rated.rating is not null as is_rated,
        last_rated.rating,

        -- timestamps
        recommendations.served_at,
        outcomes.clicked_at,
        outcomes.visited_at,
        greatest(recommendations.loaded_at, coalesce(outcomes.loaded_at, recommendations.loaded_at))
            as loaded_at
    from recommendations
    left join outcomes
        on recommendations.recommendation_id = outcomes.recommendation_id
        and recommendations.place_id = outcomes.place_id
    left join last_rated
        on recommendations.recommendation_id = last_rated.recommendation_id
        and recommendations.place_id = last_rated.place_id
)

select * from with_outcomes

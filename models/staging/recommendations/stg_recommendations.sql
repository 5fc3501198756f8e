-- a view, so that a place which opens, closes or moves shows on all events near it at once
{{ config(materialized='view') }}

with recommendations as (
    {{ with_location_consent(ref('base_recommendations')) }}
),

nearest_places as (
    select * from {{ ref('stg_nearest_places') }}
),

enriched as (
    select
        -- ids
        recommendations.recommendation_id,
        recommendations.place_id,
        recommendations.user_id,
        recommendations.session_id,

        -- what was shown, and where in the list
        recommendations.position,
        recommendations.score,
        recommendations.algorithm,
        recommendations.model_version,
        recommendations.search_query,
        recommendations.latency_ms,

        -- where it was asked for
        recommendations.known_geohash as geohash,
        recommendations.has_location_consent,
        nearest_places.place_id as nearest_place_id,
        nearest_places.category as nearest_place_category,
        nearest_places.city as nearest_place_city,

        -- times
        recommendations.is_time_plausible,
        recommendations.served_at,
        recommendations.received_at,
        recommendations.loaded_at
    from recommendations
    left join nearest_places on recommendations.known_geohash = nearest_places.geohash
)

select * from enriched

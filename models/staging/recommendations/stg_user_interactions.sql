-- a view, so that a place which opens, closes or moves shows on all events near it at once
{{ config(materialized='view') }}

with interactions as (
    {{ with_location_consent(ref('base_user_interactions')) }}
),

nearest_places as (
    select * from {{ ref('stg_nearest_places') }}
),

enriched as (
    select
        -- ids
        interactions.event_id,
        interactions.user_id,
        interactions.session_id,
        interactions.place_id,
        interactions.recommendation_id,

        -- what was done
        interactions.interaction_type,
        interactions.rating,
        interactions.search_query,
        interactions.position_in_results,
        interactions.device_type,
        interactions.app_version,

        -- where
        interactions.known_geohash as geohash,
        interactions.has_location_consent,
        nearest_places.place_id as nearest_place_id,
        nearest_places.category as nearest_place_category,
        nearest_places.city as nearest_place_city,

        -- times
        interactions.is_time_plausible,
        interactions.interacted_at,
        interactions.received_at,
        interactions.loaded_at
    from interactions
    left join nearest_places on interactions.known_geohash = nearest_places.geohash
)

select * from enriched

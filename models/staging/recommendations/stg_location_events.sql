-- a view, so that a place which opens, closes or moves shows on all events near it at once
{{ config(materialized='view') }}

with location_events as (
    {{ with_location_consent(ref('base_location_events')) }}
),

nearest_places as (
    select * from {{ ref('stg_nearest_places') }}
),

enriched as (
    select
        -- ids
        location_events.event_id,
        location_events.user_id,

        location_events.device_type,

        -- where
        location_events.known_geohash as geohash,
        location_events.has_location_consent,
        location_events.geohash_region,
        location_events.accuracy_meters,
        location_events.speed_meters_per_second,
        nearest_places.place_id as nearest_place_id,
        nearest_places.category as nearest_place_category,
        nearest_places.city as nearest_place_city,

        -- times
        location_events.is_time_plausible,
        location_events.located_at,
        location_events.received_at,
        location_events.loaded_at
    from location_events
    left join nearest_places on location_events.known_geohash = nearest_places.geohash
    -- a position of somebody who says no is none
    where location_events.known_geohash is not null
)

select * from enriched

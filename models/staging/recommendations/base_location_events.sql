-- raw lets exact positions go after 30 days; from then on this is where the cells are remembered
{{ config(materialized='incremental', incremental_strategy='append', full_refresh=false) }}

with first_sent as (
    select
        *,
        try_cast({{ json_text('location', 'lat') }} as double) as latitude,
        try_cast({{ json_text('location', 'lng') }} as double) as longitude,
        try_cast({{ json_text('location', 'accuracy') }} as double) as accuracy
    from {{ source('raw', 'location_events') }}
    where {{ is_new() }}
    qualify row_number() over (
        partition by event_id
        order by _loaded_at, _partition, _offset
    ) = 1
),

typed as (
    select
        -- ids
        event_id,
        user_id,

        device_type,

        -- where; no finer than this leaves raw
        {{ geohash('latitude', 'longitude', 7) }} as geohash,
        {{ geohash('latitude', 'longitude', 3) }} as geohash_region,
        case when accuracy >= 0 then accuracy end as accuracy_meters,
        speed as speed_meters_per_second,

        -- times
        {{ is_time_plausible('timestamp', '_kafka_timestamp') }} as is_time_plausible,
        timestamp as located_at,
        _kafka_timestamp as received_at,
        _loaded_at as loaded_at
    from first_sent
),

-- without a position on Earth nothing was located
located as (
    select * from typed
    where geohash is not null
),

unseen as (
    select * from located
    where {{ is_unseen('located', ['event_id']) }}
)

select * from unseen

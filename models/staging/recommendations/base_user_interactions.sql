{{ config(materialized='incremental', incremental_strategy='append') }}

with first_sent as (
    select
        *,
        try_cast({{ json_text('data', 'location.lat') }} as double) as latitude,
        try_cast({{ json_text('data', 'location.lng') }} as double) as longitude,
        try_cast({{ json_text('data', 'rating') }} as decimal(3,1)) as stars,
        try_cast({{ json_text('data', 'context.position_in_results') }} as integer) as list_position
    from {{ source('raw', 'user_interactions') }}
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
        session_id,
        {{ json_text('data', 'place_id') }} as place_id,
        {{ json_text('data', 'context.recommendation_id') }} as recommendation_id,

        -- what was done
        {{ json_text('data', 'interaction_type') }} as interaction_type,
        -- on another scale, or in no place of a list, is none
        case when stars between 0 and 5 then stars end as rating,
        {{ json_text('data', 'context.search_query') }} as search_query,
        case when list_position >= 1 then list_position end as position_in_results,
        {{ json_text('data', 'context.device_type') }} as device_type,
        {{ json_text('data', 'context.app_version') }} as app_version,

        -- where; no finer than this leaves raw
        {{ geohash('latitude', 'longitude', 7) }} as geohash,

        -- times
        {{ is_time_plausible('timestamp', '_kafka_timestamp') }} as is_time_plausible,
        timestamp as interacted_at,
        _kafka_timestamp as received_at,
        _loaded_at as loaded_at
    from first_sent
),

-- an interaction is with a place, or it is none
with_a_place as (
    select * from typed
    where place_id is not null and interaction_type is not null
),

unseen as (
    select * from with_a_place
    where {{ is_unseen('with_a_place', ['event_id']) }}
)

select * from unseen

{{ config(materialized='incremental', incremental_strategy='append') }}

with first_sent as (
    select
        *,
        {{ valid_json('items') }} as served_items,
        try_cast({{ json_text('context', 'lat') }} as double) as latitude,
        try_cast({{ json_text('context', 'lng') }} as double) as longitude
    from {{ source('raw', 'recommendation_logs') }}
    where {{ is_new() }}
    qualify row_number() over (
        partition by recommendation_id
        order by _loaded_at, _partition, _offset
    ) = 1
),

items as (
    select * from {{ json_array_items('first_sent', 'served_items') }} as exploded
),

typed as (
    select
        -- ids
        recommendation_id,
        {{ json_text('item', 'place_id') }} as place_id,
        user_id,
        session_id,

        -- what was shown, and where in the list
        coalesce(try_cast({{ json_text('item', 'position') }} as integer), item_index + 1)
            as position,
        try_cast({{ json_text('item', 'score') }} as double) as score,
        algorithm,
        model_version,
        {{ json_text('context', 'search_query') }} as search_query,
        latency_ms,

        -- where it was asked for; no finer than this leaves raw
        {{ geohash('latitude', 'longitude', 7) }} as geohash,

        -- times
        {{ is_time_plausible('timestamp', '_kafka_timestamp') }} as is_time_plausible,
        timestamp as served_at,
        _kafka_timestamp as received_at,
        _loaded_at as loaded_at
    from items
),

-- a place that a list shows twice counts where it stands first
first_shown as (
    select * from typed
    where place_id is not null and position >= 1
    qualify row_number() over (
        partition by recommendation_id, place_id
        order by position, score desc
    ) = 1
),

unseen as (
    select * from first_shown
    where {{ is_unseen('first_shown', ['recommendation_id']) }}
)

select * from unseen

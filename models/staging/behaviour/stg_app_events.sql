{{ config(materialized='incremental', incremental_strategy='append') }}

with first_sent as (
    select
        *,
        {{ json_text('properties', 'page') }} as page_url
    from {{ source('raw', 'app_events') }}
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
        {{ json_text('properties', 'place_id') }} as place_id,
        try_cast({{ json_text('properties', 'booking_id') }} as bigint) as booking_id,
        try_cast({{ json_text('properties', 'order_id') }} as bigint) as order_id,

        -- what and where
        event_type,
        app_type,
        {{ page_path('page_url') }} as page,
        {{ json_text('properties', 'destination') }} as destination,
        {{ json_text('properties', 'device_type') }} as device_type,
        upper({{ json_text('properties', 'country') }}) as country,

        -- money and measures
        try_cast({{ json_text('properties', 'price') }} as decimal(18,4)) as price,
        upper({{ json_text('properties', 'currency') }}) as currency,
        try_cast({{ json_text('properties', 'processing_ms') }} as decimal(18,3)) as processing_ms,

        properties,

        -- times
        {{ is_time_plausible('timestamp', '_kafka_timestamp') }} as is_time_plausible,
        _late as is_late,
        timestamp as event_at,
        _kafka_timestamp as received_at,
        _loaded_at as loaded_at
    from first_sent
),

unseen as (
    select * from typed
    where {{ is_unseen('typed', ['event_id']) }}
)

select * from unseen

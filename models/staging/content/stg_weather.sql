{{ config(materialized='incremental', incremental_strategy='append') }}

with first_sent as (
    select * from {{ source('raw', 'external_data') }}
    where {{ is_new() }}
    qualify row_number() over (
        partition by external_data_id
        order by _loaded_at, _partition, _offset
    ) = 1
),

-- whichever service says it: an item with a city and a temperature is weather
typed as (
    select
        external_data_id as weather_id,

        -- where
        {{ json_text('data', 'city') }} as city,
        upper({{ json_text('data', 'country') }}) as country,

        -- what it was like
        lower({{ json_text('data', 'condition') }}) as condition,
        try_cast({{ json_text('data', 'temperature') }} as double) as temperature_celsius,
        try_cast({{ json_text('data', 'humidity') }} as double) as humidity_percent,
        try_cast({{ json_text('data', 'wind_speed') }} as double) as wind_meters_per_second,
        try_cast({{ json_text('data', 'pressure_mb') }} as double) as pressure_millibar,

        source as reported_by,

        -- times
        {{ is_time_plausible('timestamp', '_kafka_timestamp') }} as is_time_plausible,
        timestamp as observed_at,
        _kafka_timestamp as received_at,
        _loaded_at as loaded_at
    from first_sent
    where {{ json_text('data', 'city') }} is not null
        and {{ json_text('data', 'temperature') }} is not null
),

unseen as (
    select * from typed
    where {{ is_unseen('typed', ['weather_id']) }}
)

select * from unseen

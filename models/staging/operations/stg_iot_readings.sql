{{ config(materialized='incremental', incremental_strategy='append') }}

with first_sent as (
    select * from {{ source('raw', 'iot_readings') }}
    where {{ is_new() }}
    qualify row_number() over (
        partition by reading_id
        order by _loaded_at, _partition, _offset
    ) = 1
),

typed as (
    select
        -- ids
        reading_id,
        device_id,

        device_type,
        metric,
        value,
        unit,

        -- times
        {{ is_time_plausible('timestamp', '_kafka_timestamp') }} as is_time_plausible,
        timestamp as measured_at,
        _kafka_timestamp as received_at,
        _loaded_at as loaded_at
    from first_sent
),

unseen as (
    select * from typed
    where {{ is_unseen('typed', ['reading_id']) }}
)

select * from unseen

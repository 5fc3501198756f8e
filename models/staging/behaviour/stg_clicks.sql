{{ config(materialized='incremental', incremental_strategy='append') }}

with first_sent as (
    select * from {{ source('raw', 'clickstream') }}
    where {{ is_new() }}
    qualify row_number() over (
        partition by click_id
        order by _loaded_at, _partition, _offset
    ) = 1
),

typed as (
    select
        -- ids
        click_id,
        user_id,
        session_id,

        -- where on which page
        page_url,
        {{ page_path('page_url') }} as page,
        nullif(element_id, '') as element_id,
        x_coordinate,
        y_coordinate,
        device_type,

        -- times
        {{ is_time_plausible('timestamp', '_kafka_timestamp') }} as is_time_plausible,
        _late as is_late,
        timestamp as clicked_at,
        _kafka_timestamp as received_at,
        _loaded_at as loaded_at
    from first_sent
),

unseen as (
    select * from typed
    where {{ is_unseen('typed', ['click_id']) }}
)

select * from unseen

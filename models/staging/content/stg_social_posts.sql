{{ config(materialized='incremental', incremental_strategy='append') }}

with first_sent as (
    select * from {{ source('raw', 'external_data') }}
    where {{ is_new() }}
    qualify row_number() over (
        partition by external_data_id
        order by _loaded_at, _partition, _offset
    ) = 1
),

-- whichever service says it: an item of a platform with its reach or engagement is a post
typed as (
    select
        external_data_id as post_id,

        lower({{ json_text('data', 'platform') }}) as platform,
        {{ json_text('data', 'text') }} as text,

        -- how it was taken
        try_cast({{ json_text('data', 'engagement') }} as bigint) as engagement,
        try_cast({{ json_text('data', 'reach') }} as bigint) as reach,
        -- a number, or a word for it
        case lower({{ json_text('data', 'sentiment') }})
            when 'positive' then 1
            when 'neutral' then 0
            when 'negative' then -1
            else try_cast({{ json_text('data', 'sentiment') }} as double)
        end as sentiment,

        source as reported_by,

        -- times
        {{ is_time_plausible('timestamp', '_kafka_timestamp') }} as is_time_plausible,
        timestamp as posted_at,
        _kafka_timestamp as received_at,
        _loaded_at as loaded_at
    from first_sent
    where {{ json_text('data', 'platform') }} is not null
        and coalesce(
            {{ json_text('data', 'engagement') }}, {{ json_text('data', 'reach') }}
        ) is not null
),

unseen as (
    select * from typed
    where {{ is_unseen('typed', ['post_id']) }}
)

select * from unseen

{{ config(materialized='incremental', incremental_strategy='append') }}

with identified as (
    select
        *,
        -- quotes have no id: one that says the same of the same moment is the same quote
        md5(concat(
            symbol, '|', cast(timestamp as varchar), '|',
            cast(price as varchar), '|', cast(volume as varchar)
        )) as quote_id
    from {{ source('raw', 'market_quotes') }}
    where {{ is_new() }}
),

first_sent as (
    select * from identified
    qualify row_number() over (
        partition by quote_id
        order by _loaded_at, _partition, _offset
    ) = 1
),

typed as (
    select
        quote_id,
        symbol,

        cast(price as decimal(18,6)) as price,
        volume,

        -- tell quotes of the same moment apart
        _partition as kafka_partition,
        _offset as kafka_offset,

        -- times
        {{ is_time_plausible('timestamp', '_kafka_timestamp') }} as is_time_plausible,
        timestamp as quoted_at,
        _kafka_timestamp as received_at,
        _loaded_at as loaded_at
    from first_sent
),

unseen as (
    select * from typed
    where {{ is_unseen('typed', ['quote_id']) }}
)

select * from unseen

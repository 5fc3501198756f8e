{{ config(materialized='incremental', unique_key='hour_at') }}

with quotes as (
    select
        *,
        {{ window_start('quoted_at', 60) }} as hour_at
    from {{ ref('stg_market_quotes') }}
    where is_time_plausible and {{ in_touched_window(ref('stg_market_quotes'), 'quoted_at', 60) }}
),

-- of quotes of the same moment, the topic's order tells first and last
ranked as (
    select
        *,
        row_number() over (
            partition by symbol, hour_at
            order by quoted_at, kafka_partition, kafka_offset
        ) as from_first,
        row_number() over (
            partition by symbol, hour_at
            order by quoted_at desc, kafka_partition desc, kafka_offset desc
        ) as from_last
    from quotes
),

bars as (
    select
        symbol,
        hour_at,

        -- prices
        cast(max(case when from_first = 1 then price end) as decimal(18,6)) as open,
        cast(max(price) as decimal(18,6)) as high,
        cast(min(price) as decimal(18,6)) as low,
        cast(max(case when from_last = 1 then price end) as decimal(18,6)) as close,

        cast(sum(volume) as bigint) as volume,
        cast(count(*) as bigint) as quotes,

        -- timestamps
        min(quoted_at) as first_quoted_at,
        max(quoted_at) as last_quoted_at,
        max(loaded_at) as loaded_at
    from ranked
    group by symbol, hour_at
)

select * from bars

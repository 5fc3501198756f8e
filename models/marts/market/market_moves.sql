{{ config(materialized='incremental', unique_key='quote_id') }}

{%- set window_minutes = var('market_window_minutes', 60) %}
{%- set in_order -%}
partition by symbol order by quoted_at, kafka_partition, kafka_offset
{%- endset %}
{%- set window_before -%}
partition by symbol order by quoted_at
            range between interval '{{ window_minutes }} minutes' preceding
            and interval '1 microsecond' preceding
{%- endset %}

-- a new quote bears on the one after it, and both on the windows that trail over them
with touched as (
    select
        symbol,
        {{ dbt.dateadd('minute', -2 * window_minutes, 'min(quoted_at)') }} as needed_from,
        min(quoted_at) as touched_from,
        {{ dbt.dateadd('minute', 2 * window_minutes, 'max(quoted_at)') }} as touched_to
    from {{ ref('stg_market_quotes') }}
    where is_time_plausible and {{ is_new('loaded_at') }}
    group by symbol
),

horizon as (
    select min(needed_from) as starts_at from touched
),

needed as (
    select
        quotes.*,
        touched.touched_from
    from {{ ref('stg_market_quotes') }} as quotes
    inner join touched
        on quotes.symbol = touched.symbol
        and quotes.quoted_at >= touched.needed_from
        and quotes.quoted_at <= touched.touched_to
    where quotes.is_time_plausible and {{ not_before_horizon('quotes.quoted_at') }}
),

with_previous as (
    select
        *,
        lag(price) over ({{ in_order }}) as price_before,
        lag(quoted_at) over ({{ in_order }}) as quoted_before_at
    from needed
),

-- in millionths, as whole numbers: their sums are exact in whatever order they are added.
-- After a pause longer than the window a symbol starts anew.
moved as (
    select
        *,
        case
            when quoted_before_at >= {{ dbt.dateadd('minute', -window_minutes, 'quoted_at') }}
                then cast(round(least(
                    (cast(price as double) / cast(price_before as double) - 1) * 1000000, 1000000000
                )) as bigint)
        end as move_ppm
    from with_previous
),

compared as (
    select
        *,
        count(move_ppm) over ({{ window_before }}) as trailing_moves,
        sum(move_ppm) over ({{ window_before }}) as trailing_sum,
        sum(move_ppm * move_ppm) over ({{ window_before }}) as trailing_squares
    from moved
),

spread as (
    select
        *,
        {{ safe_divide('trailing_sum', 'trailing_moves') }} as trailing_mean,
        -- of a null, greatest is the other on DuckDB and null on Snowflake
        case when trailing_moves > 1 then sqrt(greatest(
            (
                cast(trailing_squares as double)
                - cast(trailing_sum as double) * cast(trailing_sum as double)
                / nullif(cast(trailing_moves as double), 0)
            ) / nullif(cast(trailing_moves - 1 as double), 0),
            0
        )) end as trailing_deviation
    from compared
    where quoted_at >= touched_from
),

measured as (
    select
        -- ids
        quote_id,
        symbol,

        -- prices
        price,
        case when move_ppm is not null then price_before end as price_before,

        -- the move since the quote before, and how usual that is
        cast(move_ppm as bigint) as move_ppm,
        cast(trailing_moves as bigint) as trailing_moves,
        cast(trailing_mean as double) as trailing_mean_ppm,
        cast(trailing_deviation as double) as trailing_deviation_ppm,
        case
            when trailing_moves >= {{ var('market_minimum_moves', 20) }}
                then cast((move_ppm - trailing_mean) / nullif(trailing_deviation, 0) as decimal(18,4))
        end as deviations,

        -- timestamps
        quoted_at,
        loaded_at
    from spread
)

select * from measured

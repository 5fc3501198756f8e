-- a view: what counts as an alert can be changed without building anything anew
{{ config(materialized='view') }}

with moves as (
    select * from {{ ref('market_moves') }}
),

alerts as (
    select
        -- ids
        quote_id,
        symbol,

        -- prices
        price,
        price_before,
        case when move_ppm > 0 then 'up' else 'down' end as direction,

        -- the move, and how usual it is
        cast(move_ppm as double) / 10000 as move_percent,
        trailing_moves,
        trailing_mean_ppm / 10000 as trailing_mean_percent,
        trailing_deviation_ppm / 10000 as trailing_deviation_percent,
        deviations,

        -- timestamps
        quoted_at as alerted_at,
        loaded_at
    from moves
    where abs(deviations) > {{ var('market_alert_deviations', 4) }}
)

select * from alerts

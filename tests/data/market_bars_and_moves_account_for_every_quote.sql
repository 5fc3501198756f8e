with staged as (
    select
        symbol,
        count(*) as quotes,
        sum(volume) as volume
    from {{ ref('stg_market_quotes') }}
    where is_time_plausible
    group by symbol
),

bars as (
    select
        symbol,
        sum(quotes) as quotes,
        sum(volume) as volume
    from {{ ref('market_ohlc_hourly') }}
    group by symbol
),

moves as (
    select
        symbol,
        count(*) as quotes
    from {{ ref('market_moves') }}
    group by symbol
)

select
    coalesce(staged.symbol, bars.symbol, moves.symbol) as symbol,
    staged.quotes as staged_quotes,
    bars.quotes as quotes_in_bars,
    moves.quotes as quotes_with_moves,
    staged.volume as staged_volume,
    bars.volume as volume_in_bars
from staged
full outer join bars on staged.symbol = bars.symbol
full outer join moves on staged.symbol = moves.symbol
where staged.quotes is null
    or bars.quotes is null
    or moves.quotes is null
    or staged.quotes <> bars.quotes
    or staged.quotes <> moves.quotes
    or staged.volume <> bars.volume

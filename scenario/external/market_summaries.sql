-- The hour of each symbol, as a market data service sums it up.
select
    'market_api' as source,
    'api' as source_type,
    hash(symbol, hour) as fetch_key,
    hour + interval 1 hour as happened_at,
    to_json({
        'symbol': symbol,
        'open': arg_min(price, happened_at),
        'high': max(price),
        'low': min(price),
        'close': arg_max(price, happened_at),
        'volume': sum(volume)::bigint,
        'change': (arg_max(price, happened_at) - arg_min(price, happened_at))::decimal(18, 4)
    }) as data
from (select *, date_trunc('hour', happened_at) as hour from quotes)
group by symbol, hour
having hour + interval 1 hour <= play.until()

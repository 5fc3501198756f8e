-- The last minute of a symbol at the moment that it is asked, as Binance sums it up.
with asked_at as (
    select epoch_ms(now()::timestamp) as closed
),

moved as (
    select
        closed,
        20 + 900 * chance('listed at', asked('symbol')) as usual,
        chance('minute', hash(asked('symbol'), closed)) as chance
    from asked_at
)

select
    to_json({
        'symbol': asked('symbol'),
        'openPrice': format('{:.8f}', usual),
        'lastPrice': format(
            '{:.8f}',
            usual * (1 + 0.01 * sin(closed / 600000.0) + 0.002 * (chance - 0.5))
        ),
        'volume': format('{:.8f}', 10 + 2000 * chance),
        'openTime': closed - 60000,
        'closeTime': closed,
        'count': 100
    }) as item
from moved
where asked('symbol') is not null

-- The last 24 hours of a symbol, as Binance sums them up: numbers are texts.
with hours as (
    select
        hour,
        date_trunc('hour', play.until()) - to_hours(hour) as happened_at,
        20 + 900 * chance('listed at', asked('symbol')) as usual
    from range(25) as hours(hour)
),

prices as (
    select
        *,
        usual * exp(walk('listed price', asked('symbol'), epoch(happened_at) / 3600) * 0.004)
            as price,
        chance('listed volume', hash(asked('symbol'), happened_at)) * 1000 as volume
    from hours
)

select
    to_json({
        'symbol': asked('symbol'),
        'priceChange': format('{:.8f}', arg_min(price, hour) - arg_max(price, hour)),
        'priceChangePercent': format(
            '{:.3f}', 100 * (arg_min(price, hour) / arg_max(price, hour) - 1)
        ),
        'openPrice': format('{:.8f}', arg_max(price, hour)),
        'highPrice': format('{:.8f}', max(price)),
        'lowPrice': format('{:.8f}', min(price)),
        'lastPrice': format('{:.8f}', arg_min(price, hour)),
        'volume': format('{:.8f}', sum(volume)),
        'openTime': epoch_ms(min(happened_at)),
        'closeTime': epoch_ms(max(happened_at)) - 1,
        'count': 1000
    }) as item
from prices
having asked('symbol') is not null

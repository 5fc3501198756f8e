-- Quotes as the poller publishes them.
select
    later(happened_at, 0.2 + 0.5 * chance('latency', quote_key)) as arrived_at,
    symbol as key,
    to_json({
        'symbol': symbol,
        'price': price,
        'volume': volume,
        'timestamp': iso(happened_at)
    }) as value
from quotes

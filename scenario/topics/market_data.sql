-- Quotes as the poller publishes them.
with sent as (
    select
        later(happened_at, 0.2 + 0.5 * chance('latency', quote_key)) as arrived_at,
        symbol as key,
        quote_key,
        happened_at,
        to_json({
            'symbol': symbol,
            'price': price,
            'volume': volume,
            'timestamp': iso(happened_at)
        }) as message
    from quotes
)

select
    arrived_at,
    key,
    dirtied(message, 'quote', quote_key, happened_at, setting.dirty_day_market(), [
        '{"price": 0}',
        '{"price": "42.1O"}',
        '{"volume": null}',
        '{"volume": -5}',
        '{"symbol": "solr"}'
    ]) as value
from sent

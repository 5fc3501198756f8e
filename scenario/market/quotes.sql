-- What is paid for each symbol, every 30 seconds (fewer times in the thinned part), from two hours
-- before, because hours are summed up too. Prices walk;
-- now and then something happens to one symbol: it jumps, and takes two hours to settle.
with asked as (
    select
        slot,
        slot_start,
        symbols.*,
        hash(symbol, slot) as quote_key
    from slots(30, greatest(play.start(), play.reach() - interval 2 hours), play.until())
    cross join symbols
    where
        slot_start > play.full_from()
        or slot % setting.history_quotes_one_in() = 0
),

news as (
    select
        *,
        -- hours since the last time that the market was startled
        (
            epoch(slot_start) - epoch(play.opened())
            + setting.alert_hours_before_end() * 3600
            + 1000 * setting.alert_every_days() * 86400.0
        ) % (setting.alert_every_days() * 86400.0) / 3600 as hours_since
    from asked
)

select
    symbol,
    slot_start as happened_at,
    quote_key,
    round(
        price
        * exp(walk('price', symbol, slot) * volatility)
        * case
            when symbol = setting.alert_symbol() and hours_since < 2
            then 1 + setting.alert_jump() * (1 - hours_since / 2)
            else 1
        end,
        4
    )::decimal(18, 4) as price,
    round(
        volume / 100.0 * (0.4 + rhythm(slot_start)) * (0.3 + 1.4 * chance('volume', quote_key))
        * case when symbol = setting.alert_symbol() and hours_since < 2 then 6 else 1 end
    )::bigint as volume
from news
where slot_start > play.start()

-- Transactions of the company's accounts: money that comes in is positive. Some are pending when
-- they are first reported, and reported again a day later.
with posted as (
    select
        slot,
        slot_start as day,
        number,
        hash(slot, number) as ledger_key,
        later(slot_start, 86400 * chance('posted', hash(slot, number))) as posted_at
    from slots(86400, greatest(play.start(), play.since()) - interval 3 days, play.until())
    cross join range(ceil(450 * play.scale())::bigint) as numbers(number)
)

select
    *,
    'txn_' || hex_of('transaction', ledger_key, 16) as transaction_id,
    'acc_' || lpad(whole('account', ledger_key, 1, 40)::varchar, 4, '0') as account_id,
    pick('category', ledger_key, [
        'payout', 'payout', 'hotel', 'airline', 'marketing', 'software', 'salaries', 'fees', 'fees'
    ]) as category,
    pick('currency', ledger_key, ['EUR', 'EUR', 'EUR', 'USD', 'USD', 'GBP', 'CHF']) as currency,
    chance('is pending', ledger_key) < 0.04 as is_pending
from posted
where posted_at > play.start()

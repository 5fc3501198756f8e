-- A file for each day, dropped at 01:00 of the next. What is wrong with a line breaks the contract
-- of the raw table, so it ends in quarantine; only repeated lines are merely repeated.
with days as (
    select day
    from (select distinct slot_start as day from slots(
        86400, play.since() - interval 2 days, play.until()
    ))
    where
        day + interval 25 hours > play.since()
        and day + interval 25 hours <= play.until()
        and day + interval 1 day > play.start()
),

reported as (
    select ledger.*, days.day as file_day, 'booked' as status
    from ledger
    inner join days on ledger.day = days.day
    where not is_pending
    union all
    select ledger.*, days.day as file_day, 'pending' as status
    from ledger
    inner join days on ledger.day = days.day
    where is_pending
    union all
    select ledger.*, days.day as file_day, 'booked' as status
    from ledger
    inner join days on ledger.day + interval 1 day = days.day
    where is_pending
),

described as (
    select
        *,
        hash(ledger_key, file_day) as line_key,
        case category
            when 'payout' then 'Stripe Payments'
            when 'hotel' then pick('merchant', ledger_key, [
                'Grand Hotel Europa', 'Hotel "Zur Post"', 'Fjord Hotels, Oslo', 'Casa Azul'
            ])
            when 'airline' then pick('merchant', ledger_key, ['Alta Airlines', 'Nordic Air'])
            when 'marketing' then pick('merchant', ledger_key, ['Admira', 'Billboard & Co'])
            when 'software' then pick('merchant', ledger_key, ['Cloudhouse', 'Ledgerly'])
            when 'fees' then 'Stripe Payments'
        end as merchant,
        (
            case category
                when 'payout' then 900 + 9000 * chance('amount', ledger_key)
                when 'salaries' then -(2400 + 3000 * chance('amount', ledger_key))
                when 'fees' then -(0.2 + 60 * chance('amount', ledger_key))
                else -(20 + 2500 * chance('amount', ledger_key) ** 2)
            end
        )::decimal(18, 2) as amount,
        chance('is broken', hash(ledger_key, file_day)) < case
            when is_dirty(file_day, setting.dirty_day_finance()) then setting.dirty_share() * 2
            else setting.broken_lines()
        end as is_broken,
        chance('is repeated', hash(ledger_key, file_day)) < case
            when is_dirty(file_day, setting.dirty_day_finance()) then setting.dirty_share()
            else 0
        end as is_repeated
    from reported
),

fields as (
    select
        *,
        case when is_broken then whole('what is broken', line_key, 1, 6) else 0 end as broken
    from described
),

lines as (
    select
        file_day,
        posted_at,
        is_repeated,
        case when broken = 1 then '' else transaction_id end
        || ',' || account_id
        || ',' || case
            when broken = 2 then strftime(posted_at, '%d/%m/%Y')
            else strftime(posted_at, '%Y-%m-%d %H:%M:%S')
        end
        || ',' || case
            when broken = 3 then 'n/a'
            else amount::varchar
        end
        || ',' || case
            when broken = 4 then lower(currency)
            when broken = 5 then 'EURO'
            else currency
        end
        || ',' || case
            when merchant is null then ''
            when contains(merchant, ',') or contains(merchant, '"')
                then '"' || replace(merchant, '"', '""') || '"'
            else merchant
        end
        || ',' || category
        || ',' || status
        -- a column too many
        || case when broken = 6 then ',x' else '' end as line
    from fields
)

select
    'transactions_' || strftime(file_day, '%Y-%m-%d') || '.csv' as file,
    epoch(posted_at) as position,
    line
from lines
union all
select
    'transactions_' || strftime(file_day, '%Y-%m-%d') || '.csv' as file,
    epoch(posted_at) as position,
    line
from lines
where is_repeated
union all
select
    'transactions_' || strftime(day, '%Y-%m-%d') || '.csv' as file,
    0 as position,
    'transaction_id,account_id,posted_at,amount,currency,merchant,category,status' as line
from days

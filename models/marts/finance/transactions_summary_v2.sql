{{ config(materialized='incremental', unique_key='day') }}

with transactions as (
    select
        *,
        {{ utc_day('posted_at') }} as day,
        -- what ledgers call money that has moved; any other state is open until it is one of these
        status in ('booked', 'posted') as has_moved
    from {{ ref('stg_transactions') }}
),

amounts as (
    select
        *,
        case when has_moved then amount else 0 end as moved_amount,
        case when has_moved then 0 else amount end as open_amount
    from transactions
),

touched as (
    select distinct day from transactions
    where {{ is_new('loaded_at') }}
),

summary as (
    select
        day,
        currency,
        coalesce(category, 'uncategorised') as category,

        -- what has moved
        cast(sum(case when has_moved then 1 else 0 end) as bigint) as transactions,
        cast(count(distinct case when has_moved then account_id end) as bigint) as accounts,
        cast(sum(case when moved_amount > 0 then moved_amount else 0 end) as decimal(18, 4))
            as money_in,
        cast(sum(case when moved_amount < 0 then -moved_amount else 0 end) as decimal(18, 4))
            as money_out,
        cast(sum(moved_amount) as decimal(18, 4)) as net_amount,

        -- what may move yet
        cast(sum(case when has_moved then 0 else 1 end) as bigint) as open_transactions,
        cast(sum(open_amount) as decimal(18, 4)) as open_amount,

        max(loaded_at) as loaded_at
    from amounts
    where {{ is_touched('day') }}
    group by day, currency, coalesce(category, 'uncategorised')
)

select * from summary

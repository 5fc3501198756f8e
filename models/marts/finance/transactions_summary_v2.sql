{{ config(materialized='incremental', unique_key='day') }}

with transactions as (
    select
        *,
        {{ utc_day('posted_at') }} as day,
        status = 'posted' as is_posted,
        case when status = 'posted' then amount else 0 end as posted_amount
    from {{ ref('stg_transactions') }}
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

        -- what is posted
        cast(sum(case when is_posted then 1 else 0 end) as bigint) as transactions,
        cast(count(distinct case when is_posted then account_id end) as bigint) as accounts,
        cast(sum(case when posted_amount > 0 then posted_amount else 0 end) as decimal(18, 4))
            as money_in,
        cast(sum(case when posted_amount < 0 then -posted_amount else 0 end) as decimal(18, 4))
            as money_out,
        cast(sum(posted_amount) as decimal(18, 4)) as net_amount,

        -- what may be posted yet
        cast(sum(case when is_posted then 0 else 1 end) as bigint) as open_transactions,
        cast(sum(amount - posted_amount) as decimal(18, 4)) as open_amount,

        max(loaded_at) as loaded_at
    from transactions
    where {{ is_touched('day') }}
    group by day, currency, coalesce(category, 'uncategorised')
)

select * from summary

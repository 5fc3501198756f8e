{{ config(materialized='incremental', unique_key='day') }}

with touched as (
    select distinct {{ utc_day('posted_at') }} as day from {{ ref('stg_transactions') }}
    where {{ is_new('loaded_at') }}
),

transactions as (
    select
        *,
        {{ utc_day('posted_at') }} as day
    from {{ ref('stg_transactions') }}
    where {{ is_on_touched_day('posted_at') }}
),

summary as (
    select
        day,
        currency,
        coalesce(category, 'uncategorised') as category,
        status,

        cast(count(*) as bigint) as transactions,
        cast(count(distinct account_id) as bigint) as accounts,

        -- money, in the currency's main unit
        cast(sum(case when amount > 0 then amount else 0 end) as decimal(18, 4)) as money_in,
        cast(sum(case when amount < 0 then -amount else 0 end) as decimal(18, 4)) as money_out,
        cast(sum(amount) as decimal(18, 4)) as net_amount,

        max(loaded_at) as loaded_at
    from transactions
    group by day, currency, coalesce(category, 'uncategorised'), status
)

select * from summary

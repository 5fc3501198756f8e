{{ config(
    materialized='incremental',
    unique_key='day',
    post_hook="delete from {{ this }} where gross_cents = 0 and orders = 0 and bookings = 0"
) }}

-- a refund changes an old charge, so its day is counted anew
with touched as (
    select distinct charged_day from {{ ref('fct_payments') }}
    where {{ is_new('loaded_at') }}
),

payments as (
    select * from {{ ref('fct_payments') }}
    where {{ is_touched('charged_day') }}
),

-- days whose charges all failed come out as zeros, which the post-hook takes away: should a charge
-- be struck off, its day must not stay behind
by_day as (
    select
        charged_day as day,
        currency,

        -- money, in the currency's smallest unit
        cast(sum(gross_cents) as bigint) as gross_cents,
        cast(sum(refunded_cents) as bigint) as refunded_cents,
        cast(sum(net_cents) as bigint) as revenue_cents,

        cast(count(distinct case when is_paid then order_id end) as bigint) as orders,
        cast(count(distinct case when is_paid then booking_id end) as bigint) as bookings,
        cast(count(distinct case when is_paid then user_id end) as bigint) as buyers,

        max(loaded_at) as loaded_at
    from payments
    group by charged_day, currency
)

select * from by_day

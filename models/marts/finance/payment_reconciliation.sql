{{ config(
    materialized='incremental',
    unique_key='reference',
    post_hook="{{ without_gone_rows('result') }}"
) }}

with touched as (
    select charge_id from {{ ref('stg_payments') }}
    where {{ is_new('loaded_at') }}
    union
    select charge_id from {{ ref('stg_app_payments') }}
    where charge_id is not null and {{ is_new('loaded_at') }}
    {%- if is_incremental() %}
    union
    -- the charge that a payment named before
    select kept.charge_id from {{ this }} as kept
    inner join {{ ref('stg_app_payments') }} as payments on kept.payment_id = payments.payment_id
    where kept.charge_id is not null and {{ is_new('payments.loaded_at') }}
    {%- endif %}
),

payments as (
    select
        *,
        -- a payment that was deleted names no charge
        case when not is_deleted then charge_id end as named_charge_id,
        status in ('succeeded', 'paid', 'captured', 'completed', 'refunded', 'partially_refunded')
            as has_moved_money
    from {{ ref('stg_app_payments') }}
    where {{ is_new('loaded_at') }} or {{ is_touched('charge_id') }}
),

charges as (
    select * from {{ ref('stg_payments') }}
    where {{ is_touched('charge_id') }}
),

named_charges as (
    select
        named_charge_id as charge_id,
        cast(count(*) as bigint) as payments,
        max(loaded_at) as loaded_at
    from payments
    where named_charge_id is not null
    group by named_charge_id
),

-- one row per payment, beside the charge that it names
of_payments as (
    select
        'payment ' || cast(p.payment_id as varchar) as reference,
        p.payment_id,
        p.charge_id,
        p.order_id,
        p.booking_id,
        p.status as shop_status,
        c.status as stripe_status,
        c.currency,
        p.amount_cents as shop_amount_cents,
        c.amount_cents as stripe_amount_cents,
        p.created_at,
        greatest(
            p.loaded_at,
            coalesce(c.loaded_at, p.loaded_at),
            coalesce(n.loaded_at, p.loaded_at)
        ) as loaded_at,
        case
            when p.is_deleted then 'gone'
            when c.charge_id is null and (p.charge_id is not null or p.has_moved_money)
                then 'missing_at_stripe'
            when c.charge_id is null then 'not_charged'
            when n.payments > 1 then 'charge_named_twice'
            when p.has_moved_money <> c.is_paid then 'status_differs'
            when p.amount_cents <> c.amount_cents then 'amount_differs'
            else 'matched'
        end as result
    from payments as p
    left join charges as c on p.charge_id = c.charge_id
    left join named_charges as n on p.charge_id = n.charge_id
),

-- and one per charge that no payment names; it goes when a payment does
of_charges as (
    select
        c.charge_id as reference,
        cast(null as bigint) as payment_id,
        c.charge_id,
        c.order_id,
        c.booking_id,
        cast(null as varchar) as shop_status,
        c.status as stripe_status,
        c.currency,
        cast(null as bigint) as shop_amount_cents,
        c.amount_cents as stripe_amount_cents,
        c.created_at,
        c.loaded_at,
        case when n.charge_id is null then 'missing_in_shop' else 'gone' end as result
    from charges as c
    left join named_charges as n on c.charge_id = n.charge_id
),

compared as (
    select * from of_payments
    union all
    select * from of_charges
),

-- most charges have a payment: only where there may be a row to replace do they come out as gone
to_keep as (
    select * from compared
    {%- if not is_incremental() %}
    where result <> 'gone'
    {%- endif %}
),

final as (
    select
        -- ids
        reference,
        payment_id,
        charge_id,
        order_id,
        booking_id,

        -- what each side says
        shop_status,
        stripe_status,
        result,

        -- money, in the currency's smallest unit
        currency,
        shop_amount_cents,
        stripe_amount_cents,
        coalesce(stripe_amount_cents, 0) - coalesce(shop_amount_cents, 0) as difference_cents,

        -- timestamps (UTC)
        {{ utc_day('created_at') }} as day,
        created_at,
        loaded_at
    from to_keep
)

select * from final

{{ config(materialized='incremental', unique_key='charge_id') }}

-- a charge can be loaded before the order or booking that says who paid
with touched as (
    select charge_id from {{ ref('stg_payments') }}
    where {{ is_new('loaded_at') }}
    union
    select payments.charge_id from {{ ref('stg_payments') }} as payments
    inner join {{ ref('stg_orders') }} as orders on payments.order_id = orders.order_id
    where {{ is_new('orders.loaded_at') }}
    union
    select payments.charge_id from {{ ref('stg_payments') }} as payments
    inner join {{ ref('stg_bookings') }} as bookings on payments.booking_id = bookings.booking_id
    where {{ is_new('bookings.loaded_at') }}
),

payments as (
    select * from {{ ref('stg_payments') }}
    where {{ is_touched('charge_id') }}
),

orders as (
    select order_id, user_id, loaded_at from {{ ref('stg_orders') }}
),

bookings as (
    select booking_id, user_id, loaded_at from {{ ref('stg_bookings') }}
),

with_buyer as (
    select
        -- ids
        payments.charge_id,
        payments.order_id,
        payments.booking_id,
        coalesce(orders.user_id, bookings.user_id) as user_id,

        -- how it went
        payments.status,
        payments.is_paid,
        payments.is_disputed,
        payments.failure_code,

        -- the card
        payments.card_brand,
        payments.card_country,

        -- money, in the currency's smallest unit; nothing moved where the charge did not succeed
        payments.currency,
        payments.amount_cents,
        cast(case when payments.is_paid then payments.amount_cents else 0 end as bigint) as gross_cents,
        cast(case when payments.is_paid then payments.amount_refunded_cents else 0 end as bigint)
            as refunded_cents,
        cast(
            case when payments.is_paid then payments.amount_cents - payments.amount_refunded_cents else 0 end
            as bigint
        ) as net_cents,

        -- timestamps (UTC)
        {{ utc_day('payments.created_at') }} as charged_day,
        payments.created_at,
        greatest(
            payments.loaded_at,
            coalesce(orders.loaded_at, payments.loaded_at),
            coalesce(bookings.loaded_at, payments.loaded_at)
        ) as loaded_at
    from payments
    left join orders on payments.order_id = orders.order_id
    left join bookings on payments.booking_id = bookings.booking_id
)

select * from with_buyer

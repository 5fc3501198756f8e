{{ config(
    materialized='incremental',
    unique_key='booking_id',
    post_hook="{{ without_gone_rows('status') }}"
) }}

with touched as (
    select booking_id from {{ ref('stg_bookings') }}
    where {{ is_new('loaded_at') }}
    union
    select booking_id from {{ ref('fct_payments') }}
    where booking_id is not null and {{ is_new('loaded_at') }}
),

bookings as (
    select * from {{ ref('stg_bookings') }}
    where {{ is_touched('booking_id') }}
),

payments as (
    select * from {{ ref('fct_payments') }}
    where booking_id is not null and {{ is_touched('booking_id') }}
),

-- amounts in another currency than the booking's are never added to it
paid as (
    select
        booking_id,
        currency,
        cast(sum(gross_cents) as bigint) as gross_cents,
        cast(sum(refunded_cents) as bigint) as refunded_cents,
        min(case when is_paid then created_at end) as first_paid_at,
        max(loaded_at) as loaded_at
    from payments
    group by booking_id, currency
),

final as (
    select
        -- ids
        bookings.booking_id,
        bookings.user_id,
        bookings.place_id,

        -- the booking
        case when bookings.is_deleted then 'gone' else bookings.status end as status,
        bookings.guests,
        bookings.check_in_date,
        bookings.check_out_date,
        cast({{ dbt.datediff('bookings.check_in_date', 'bookings.check_out_date', 'day') }} as bigint)
            as nights,
        {{ utc_day('bookings.created_at') }} as booked_day,
        cast({{ dbt.datediff('bookings.created_at', 'bookings.check_in_date', 'day') }} as bigint)
            as lead_days,

        -- money, in the currency's smallest unit
        bookings.currency,
        bookings.total_amount_cents,
        coalesce(paid.gross_cents, 0) as paid_cents,
        coalesce(paid.refunded_cents, 0) as refunded_cents,

        -- timestamps (UTC)
        bookings.created_at,
        bookings.updated_at,
        paid.first_paid_at,
        greatest(bookings.loaded_at, coalesce(paid.loaded_at, bookings.loaded_at)) as loaded_at
    from bookings
    left join paid
        on bookings.booking_id = paid.booking_id
        and bookings.currency = paid.currency
)

select * from final

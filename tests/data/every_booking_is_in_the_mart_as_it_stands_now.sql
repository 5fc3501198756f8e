-- Each booking that is not deleted stands in fct_bookings in its newest state, and nothing else does.
with bookings as (
    select * from {{ ref('stg_bookings') }}
    where not is_deleted
),

mart as (
    select * from {{ ref('fct_bookings') }}
)

select
    coalesce(bookings.booking_id, mart.booking_id) as booking_id,
    bookings.status,
    mart.status as mart_status
from bookings
full outer join mart on bookings.booking_id = mart.booking_id
where bookings.booking_id is null
    or mart.booking_id is null
    or bookings.status <> mart.status
    or bookings.total_amount_cents <> mart.total_amount_cents
    or bookings.updated_at <> mart.updated_at

-- Bookings' rows as they were after each of the changes that the play is about.
with wanted as (
    select booking_id, happened_at from booking_moments
    union
    select booking_id, before_at as happened_at from booking_moments where before_at is not null
)

select
    booking_id as id,
    user_id,
    place_id(place) as place_id,
    case
        when completed_at <= happened_at then 'completed'
        when cancelled_at <= happened_at then 'cancelled'
        when confirmed_at <= happened_at then 'confirmed'
        else 'pending'
    end as status,
    check_in,
    check_out,
    case when changed_at <= happened_at then guests_after_change else guests end as guests,
    currency,
    total_amount as total_amount_cents,
    created_at,
    happened_at as updated_at
from wanted
inner join bookings_made using (booking_id)

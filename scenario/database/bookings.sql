-- Bookings whose row changed in the play.
with newest as (
    select
        booking_id,
        arg_max(operation, happened_at) as operation,
        max(happened_at) as happened_at
    from booking_moments
    group by booking_id
)

select
    booking_states.*,
    newest.operation = 'DELETE' as _gone
from newest
inner join booking_states
    on newest.booking_id = booking_states.id and newest.happened_at = booking_states.updated_at

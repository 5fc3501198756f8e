-- What the booking service reports of bookings after the visit in which they were made: only of
-- visits whose events are played.
with news as (
    select *, 'payment_completed' as event_type, settled_at as happened_at
    from bookings_made
    where is_declined
    union all
    select *, 'booking_updated' as event_type, changed_at as happened_at from bookings_made
    union all
    select *, 'booking_cancelled' as event_type, cancelled_at as happened_at from bookings_made
)

select
    later(happened_at, 0.3) as arrived_at,
    user_id,
    hash(event_type, booking_id) as event_key,
    event_type,
    session_id(visit_id) as session_id,
    'booking' as app_type,
    happened_at,
    to_json({
        'booking_id': booking_id,
        'place_id': place_id(place),
        'price': in_units(total_amount, minor_units),
        'currency': currency,
        'country': country,
        'processing_ms': round(9 + 30 * chance('processing', hash(event_type, booking_id)), 1)
            ::decimal(9, 1)
    }) as properties
from news
where
    happened_at > play.reach() - interval 1 minute
    and later(happened_at, 0.3) <= play.until()
    and is_kept('visit', visit_id, created_at)

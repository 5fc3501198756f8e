-- When bookings' rows changed, up to the end of the play, and the change before (`before_at`).
with happened as (
    select booking_id, created_at as happened_at from bookings_made
    union
    select
        booking_id,
        unnest([confirmed_at, changed_at, cancelled_at, completed_at, gone_at]) as happened_at
    from bookings_made
    union
    -- touched by other services now and then: only seen in the full part of the period
    select
        booking_id,
        later(days.day, 86400 * chance('touched', hash(booking_id, day))) as happened_at
    from bookings_made
    cross join lateral (
        select unnest(generate_series(
            date_trunc('day', greatest(confirmed_at, play.full_from())),
            least(
                play.until(),
                coalesce(cancelled_at, completed_at)
            ),
            interval 1 day
        )) as day
    ) as days
    where
        confirmed_at is not null  -- greatest() would pass over it
        and chance('is touched', hash(booking_id, day)) < setting.booking_touches_a_day()
        and happened_at > greatest(confirmed_at, play.full_from())
        and happened_at < coalesce(cancelled_at, completed_at)
),

numbered as (
    select
        booking_id,
        happened_at,
        lag(happened_at) over (partition by booking_id order by happened_at) as before_at
    from happened
    where happened_at <= play.until()
)

select
    booking_id,
    happened_at,
    before_at,
    case
        when before_at is null then 'INSERT'
        when happened_at = gone_at then 'DELETE'
        else 'UPDATE'
    end as operation
from numbered
inner join bookings_made using (booking_id)
where happened_at > play.since()

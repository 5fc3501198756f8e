-- What people do in a visit, step by step. It begins with a look at the start page and a search;
-- a booking ends with a place looked at, the checkout, the booking and its payment.
with numbered as (
    select
        sessions.*,
        step,
        steps - step as steps_left,
        hash(visit_id, step) as step_key,
        step_time(app_type, visit_id, started_at, step) as happened_at
    from sessions
    cross join range(15) as numbers(step)
    where
        step < steps
        -- the longest delay is three days: nothing else has to be looked at again
        and (seconds_late > 1 or started_at > play.reach() - interval 1 hour)
),

seen as (
    select
        *,
        later(happened_at, seconds_late) as arrived_at,
        chance('what', step_key) as what,
        case
            -- the place that is booked is the place that was looked at
            when outcome in ('book', 'abandon') and steps_left <= 5
                then place_of(destination_rank, bookable('booked place', visit_id))
            else place_of(destination_rank, whole('seen place', step_key, 0, 19))
        end as place
    from numbered
    where
        later(happened_at, seconds_late) > play.reach()
        and later(happened_at, seconds_late) <= play.until()
)

select
    *,
    case
        when step = 0 then 'page_view'
        when outcome = 'order' then
            case
                when steps_left = 3 then 'click_cta'
                when steps_left = 2 then 'page_view'
                when steps_left = 1 then 'payment_completed'
                when what < 0.7 then 'page_view'
                when what < 0.75 then 'add_to_wishlist'
                else 'click'
            end
        when step = 1 then 'search'
        when outcome in ('book', 'abandon') and steps_left = 4 then 'booking_view'
        when outcome in ('book', 'abandon') and steps_left = 3 then 'click_cta'
        when outcome in ('book', 'abandon') and steps_left = 2 then 'booking_created'
        when outcome = 'book' and steps_left = 1 then 'payment_completed'
        when outcome = 'view' and step = 3 then 'booking_view'
        when what < 0.5 then 'page_view'
        when what < 0.72 then 'click'
        when what < 0.84 then 'search'
        when what < 0.93 then 'filter_applied'
        when what < 0.985 and outcome <> 'browse' then 'booking_view'
        when what < 0.99 then 'page_view'
        -- a type of the team's own, sent through the batch endpoint
        else 'share_link'
    end as step_type
from seen

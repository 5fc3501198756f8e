-- Every booking that something of the play can come of, with the times of all that will become of
-- it. A time that lies after the play's end has not happened yet.
with made as (
    select
        visit_id as booking_id,
        visit_id,
        user_id,
        app_type,
        outcome,
        home_rank,
        destination_rank,
        place_of(destination_rank, bookable('booked place', visit_id)) as place,
        step_time(app_type, visit_id, started_at, steps - 2) as created_at,
        step_time(app_type, visit_id, started_at, steps - 1) as pay_at,
        1 + floor(44 * chance('lead', visit_id) ** 2)::integer as lead_days,
        1 + floor(9 * chance('nights', visit_id) ** 2)::integer as nights,
        1 + floor(4.5 * chance('guests', visit_id) ** 1.6)::integer as guests
    from visits
    where outcome in ('book', 'abandon')
),

priced as (
    select
        made.*,
        cities.currency,
        cities.country,
        cities.per_euro,
        cities.minor_units,
        created_at::date + lead_days as check_in,
        created_at::date + lead_days + nights as check_out,
        in_smallest_unit(
            nights
            * nightly_euros(place)
            * (0.9 + 0.1 * guests)
            -- dearer on what turns out a busy date
            * (0.9 + 0.25 * chance('season', hash(place, lead_days))),
            per_euro,
            minor_units
        ) as total_amount
    from made
    inner join cities on made.home_rank = cities.city_rank
),

-- the card is declined now and then; some try again with another
paid as (
    select
        *,
        outcome = 'book' and chance('declined', visit_id) < setting.declined_share()
            as is_declined,
        chance('tries again', visit_id) < 0.7 as tries_again
    from priced
),

settled as (
    select
        *,
        case
            when outcome <> 'book' then null
            when not is_declined then settled_time(visit_id, pay_at)
            when tries_again then settled_time(visit_id, later(pay_at, 41))
        end as settled_at
    from paid
),

confirmed as (
    select
        *,
        later(settled_at, 0.8) as confirmed_at,
        epoch(check_in) + 10 * 3600 - epoch(settled_at) as seconds_to_arrival
    from settled
),

ended as (
    select
        *,
        case
            when confirmed_at is not null then
                case
                    when chance('cancels', visit_id) < setting.cancelled_share()
                        and seconds_to_arrival > 7200
                    then later(
                        confirmed_at,
                        3600 + chance('cancelled', visit_id)
                        * (least(20 * 86400, seconds_to_arrival) - 3600)
                    )
                end
            when not (outcome = 'abandon' and chance('is dropped', visit_id) < 0.2)
            then later(created_at, 1800 + 80000 * chance('expired', visit_id))
        end as cancelled_at,
        -- some that were never paid are dropped without a trace but in the changes
        case
            when outcome = 'abandon' and chance('is dropped', visit_id) < 0.2
            then later(created_at, 1800 + 80000 * chance('expired', visit_id))
        end as gone_at
    from confirmed
)

select
    * exclude (seconds_to_arrival),
    case
        when confirmed_at is not null and cancelled_at is null
        then (check_out + interval 11 hours)::timestamp
    end as completed_at,
    -- one more guest, or one less
    case
        when
            chance('guests change', visit_id) < 0.12
            and seconds_to_arrival > 7200
            and later(confirmed_at, 600) < coalesce(cancelled_at, 'infinity')
        then later(
            confirmed_at,
            300 + chance('guests changed', visit_id)
            * (least(
                seconds_to_arrival,
                coalesce(epoch(cancelled_at) - epoch(confirmed_at), 30 * 86400)
            ) - 400)
        )
    end as changed_at,
    case when guests = 1 then 2 else guests - 1 end as guests_after_change
from ended

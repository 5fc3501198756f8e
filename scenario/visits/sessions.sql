-- The visits whose events are played (see `is_kept`), with who made them and where they looked.
-- Some phones were offline: all events of such a visit arrive late, together.
with kept as (
    select *
    from visits
    where
        started_at > play.reach() - interval 5 days
        and is_kept('visit', visit_id, started_at)
)

select
    kept.*,
    session_id(visit_id) as session_id,
    homes.country,
    homes.currency,
    homes.per_euro,
    homes.minor_units,
    destinations.city as destination,
    destinations.country as destination_country,
    destinations.lat as destination_lat,
    destinations.lng as destination_lng,
    case app_type
        when 'mobile' then people.phone_type
        when 'web' then pick('computer', visit_id, ['desktop', 'desktop', 'desktop', 'tablet'])
        else 'server'
    end as device_type,
    case
        when app_type = 'mobile' and chance('is late', visit_id) < setting.late_share()
        then 60 * exp(chance('late', visit_id) * ln(4300))
        else 0.05 + 0.6 * chance('latency', visit_id)
    end as seconds_late
from kept
inner join people using (user_id)
inner join cities as homes on kept.home_rank = homes.city_rank
inner join cities as destinations on kept.destination_rank = destinations.city_rank

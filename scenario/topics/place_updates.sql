-- Places as listings report them: all of them when the period begins, then now and again; a few
-- close.
with opened as (
    select
        place,
        'created' as change,
        later(play.start(), 5 + 3600 * chance('place listed', place)) as happened_at
    from places
),

days as (
    select
        place,
        slot,
        hash(place, slot) as day_key,
        later(slot_start, 86400 * chance('place updated', hash(place, slot))) as happened_at
    from places
    cross join slots(86400, greatest(play.start(), play.reach() - interval 1 day), play.until())
),

changes as (
    select * from opened
    union all
    select
        place,
        case when chance('place closes', day_key) < 0.01 then 'closed' else 'updated' end as change,
        happened_at
    from days
    where
        chance('place is updated', day_key) < setting.place_updates_a_day()
        and happened_at > play.start() + interval 2 hours
)

select
    later(happened_at, 0.5) as arrived_at,
    place_id as key,
    to_json({
        'event_id': uuid_of('place update', hash(place, happened_at)),
        'place_id': place_id,
        'timestamp': iso(happened_at),
        'change': change,
        'name': name,
        'category': category,
        'city': city,
        'country': country,
        'location': {'lat': lat, 'lng': lng},
        'rating': round(least(5, greatest(1, rating
            + 0.4 * (chance('rating now', hash(place, happened_at)) - 0.5))), 1),
        'price_level': price_level,
        'source': pick('place source', hash(place, happened_at), [
            'google_maps', 'google_maps', 'foursquare', 'yelp', 'owner'
        ])
    }) as value
from changes
inner join places using (place)
where happened_at > play.reach() - interval 1 minute

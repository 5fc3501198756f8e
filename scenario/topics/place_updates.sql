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
    select *, hash(place) as update_key from opened
    union all
    select
        place,
        case when chance('place closes', day_key) < 0.01 then 'closed' else 'updated' end as change,
        happened_at,
        day_key as update_key
    from days
    where
        chance('place is updated', day_key) < setting.place_updates_a_day()
        and happened_at > play.start() + interval 2 hours
),

sent as (
    select
        later(happened_at, 0.5) as arrived_at,
        place_id as key,
        update_key,
        happened_at,
        to_json({
            'event_id': uuid_of('place update', update_key),
            'place_id': place_id,
            'timestamp': iso(happened_at),
            'change': change,
            'name': name,
            'category': category,
            'city': city,
            'country': country,
            'location': {'lat': lat, 'lng': lng},
            'rating': round(least(5, greatest(1, rating
                + 0.4 * (chance('rating now', update_key) - 0.5))), 1),
            'price_level': price_level,
            'source': pick('place source', update_key, [
                'google_maps', 'google_maps', 'foursquare', 'yelp', 'owner'
            ])
        }) as message
    from changes
    inner join places using (place)
    where happened_at > play.reach() - interval 1 minute
)

select
    arrived_at,
    key,
    dirtied(message, 'place update', update_key, happened_at, setting.dirty_day_travel(), [
        '{"rating": 47}',
        '{"country": "nl"}',
        '{"location": null}',
        '{"change": "renamed"}',
        '{"category": null}',
        '{"city": "LONDON "}'
    ]) as value
from sent

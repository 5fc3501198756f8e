-- Places as a map service lists them: a seventh of them each day, all within a week.
with days as (
    select
        places.*,
        slot,
        hash(place, slot) as fetch_key,
        later(slot_start, 4 * 3600 + 900 * chance('map fetch', place)) as happened_at
    from slots(86400, play.reach() - interval 1 day, play.until())
    cross join places
    where (place + slot) % 7 = 0
),

stays as (
    select city_rank, count(*) as hotels
    from places
    where category in ('hotel', 'apartment', 'hostel', 'resort')
    group by city_rank
)

select
    'maps_api' as source,
    'api' as source_type,
    fetch_key,
    happened_at,
    to_json({
        'place_id': place_id,
        'name': name,
        'category': category,
        'city': city,
        'country': country,
        'lat': lat,
        'lng': lng,
        'rating': rating,
        'popularity': popularity,
        'hotels_nearby': whole('hotels nearby', place, 1, hotels)
    }) as data
from days
inner join stays using (city_rank)
where happened_at <= play.until()

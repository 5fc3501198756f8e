-- Places to stay at and to go to: 20 in each city.
with numbered as (
    select
        place_of(city_rank, number) as place,
        number,
        cities.*
    from cities
    cross join range(20) as numbers(number)
),

described as (
    select
        *,
        case
            when number < 4 then 'hotel'
            when number < 6 then 'apartment'
            when number = 6 then 'hostel'
            when number = 7 then 'resort'
            when number < 12 then 'restaurant'
            when number < 14 then 'museum'
            when number < 16 then 'attraction'
            when number = 16 then 'park'
            when number < 19 then 'tour'
            else 'cafe'
        end as category
    from numbered
)

select
    place,
    place_id(place) as place_id,
    city_rank,
    city,
    country,
    category,
    pick('place name', place, [
        'Grand', 'Old Town', 'Riverside', 'Royal', 'Garden', 'Central', 'Harbour', 'Golden',
        'Little', 'Blue', 'Sunset', 'Station', 'Palace', 'Market', 'Skyline', 'Hidden'
    ])
    || ' '
    || upper(category[1]) || category[2:]
    || ' '
    || city as name,
    moved_lat(lat, (chance('place north', place) - 0.5) * 9) as lat,
    moved_lng(lat, lng, (chance('place east', place) - 0.5) * 9) as lng,
    round(2.8 + 2.1 * chance('place quality', place) ** 0.7, 1) as rating,
    1 + floor(4 * chance('price', place) ** 1.5)::integer as price_level,
    round(chance('popularity', place) ** 2 * 100)::integer as popularity
from described

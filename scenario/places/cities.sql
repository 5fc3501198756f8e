-- Cities that people live in and travel to, the most popular first, with the money used there.
with ranked as (
    select
        city,
        country_code as country,
        latitude as lat,
        longitude as lng,
        list_position(
            [
                'London', 'Paris', 'New York', 'Barcelona', 'Rome', 'Amsterdam', 'Berlin', 'Tokyo',
                'Lisbon', 'Madrid', 'Los Angeles', 'Vienna', 'Prague', 'Copenhagen', 'Sydney',
                'Toronto', 'Munich', 'Dublin', 'Milan', 'San Francisco', 'Singapore', 'Zurich'
            ],
            city
        ) as favourite
    from ref_cities
)

select
    row_number() over (order by favourite nulls last, city) as city_rank,
    ranked.city,
    ranked.country,
    ranked.lat,
    ranked.lng,
    currencies.currency,
    currencies.per_euro,
    ref_currencies.minor_units
from ranked
inner join currencies on ranked.country = currencies.country_code
inner join ref_currencies on currencies.currency = ref_currencies.currency
qualify city_rank <= setting.cities()

-- The weather in each city, every six hours.
with asked as (
    select
        cities.*,
        slot,
        hash(city, slot) as fetch_key,
        later(slot_start, 30 + 60 * chance('weather fetch', hash(city, slot))) as happened_at
    from slots(21600, play.reach() - interval 6 hours, play.until())
    cross join cities
),

measured as (
    select
        *,
        round(
            29 - 0.011 * lat * lat
            -- summer and winter
            - cos(2 * pi() * (dayofyear(happened_at) - 20) / 365.25) * lat * 0.22
            -- day and night, by the sun
            + 4 * sin(2 * pi() * (hour(happened_at) + lng / 15 - 9) / 24)
            + wobble('warm', city, slot) * 9,
            1
        ) as temperature,
        chance('sky', hash(city, slot // 2)) as sky
    from asked
)

select
    'weather_api' as source,
    'api' as source_type,
    fetch_key,
    happened_at,
    to_json({
        'city': city,
        'country': country,
        'temperature': temperature,
        'humidity': round(35 + 50 * sky + 10 * chance('humidity', fetch_key)),
        'wind_speed': round(1 + 9 * chance('wind', fetch_key) ** 2, 1),
        'condition': case
            when sky < 0.35 then 'clear'
            when sky < 0.6 then 'partly cloudy'
            when sky < 0.75 then 'cloudy'
            when temperature < 0 then 'snow'
            when sky < 0.95 then 'rain'
            else 'thunderstorm'
        end,
        'pressure_mb': round(1022 - 20 * sky + 4 * chance('pressure', fetch_key), 1)
    }) as data
from measured

-- The newest weather of the city nearest to a position, as Open-Meteo says it.
with nearest as (
    select * from cities
    order by
        power(lat - asked('latitude')::double, 2) + power(lng - asked('longitude')::double, 2),
        city
    limit 1
),

newest as (
    select
        nearest.lat,
        nearest.lng,
        weather.happened_at,
        weather.data::json as data
    from weather
    inner join nearest
        on (weather.data->>'city') = nearest.city and (weather.data->>'country') = nearest.country
    where weather.happened_at <= play.until()
    order by weather.happened_at desc
    limit 1
)

select
    to_json({
        'latitude': lat,
        'longitude': lng,
        'generationtime_ms': 0.05,
        'utc_offset_seconds': 0,
        'timezone': 'GMT',
        'timezone_abbreviation': 'GMT',
        'elevation': 10.0,
        'current_units': {
            'time': 'iso8601',
            'interval': 'seconds',
            'temperature_2m': '°C',
            'relative_humidity_2m': '%',
            'wind_speed_10m': 'km/h',
            'pressure_msl': 'hPa',
            'weather_code': 'wmo code'
        },
        'current': {
            'time': strftime(time_bucket(interval 15 minutes, happened_at), '%Y-%m-%dT%H:%M'),
            'interval': 900,
            'temperature_2m': (data->>'temperature')::double,
            'relative_humidity_2m': (data->>'humidity')::double::bigint,
            'wind_speed_10m': round((data->>'wind_speed')::double * 3.6, 1),
            'pressure_msl': (data->>'pressure_mb')::double,
            'weather_code': case (data->>'condition')
                when 'clear' then 0
                when 'partly cloudy' then 2
                when 'cloudy' then 3
                when 'rain' then 63
                when 'snow' then 73
                else 95
            end
        }
    }) as item
from newest

-- Where people are who let the app know: walks and rides of ten minutes, a position every 20
-- seconds. One in twenty has since withdrawn the consent.
with trips as (
    select
        slot,
        slot_start,
        lane,
        hash(slot, lane) as trip_key
    from slots(600, greatest(play.start(), play.reach() - interval 4 days), play.until())
    cross join range(ceil(10 * play.scale())::bigint) as lanes(lane)
    where
        lane + chance('is travelling', hash(slot, lane))
        < (2 + 8 * rhythm(slot_start)) * play.scale()
        and is_kept('trip', hash(slot, lane), slot_start)
),

travellers as (
    select
        *,
        1 + floor(users_at(slot_start) * chance('traveller', trip_key))::bigint as user_id,
        1 + floor(setting.cities() * chance('trip city', trip_key) ** 1.5)::bigint as city_rank,
        chance('heading', trip_key) * 2 * pi() as heading,
        pick('speed', trip_key, [1.2, 1.4, 1.5, 4.5, 9.0, 13.0]) as usual_speed,
        case
            when chance('is late', trip_key) < setting.late_share()
            then 60 * exp(chance('late', trip_key) * ln(4300))
            else 0.2
        end as seconds_late
    from trips
),

positions as (
    select
        travellers.*,
        ping,
        hash(trip_key, ping) as ping_key,
        later(slot_start, ping * 20 + chance('ping', trip_key) * 19) as happened_at,
        usual_speed * (0.7 + 0.6 * chance('speed now', hash(trip_key, ping))) as speed,
        cities.lat as city_lat,
        cities.lng as city_lng
    from travellers
    inner join cities using (city_rank)
    cross join range(30) as pings(ping)
    where seconds_late > 1 or slot_start > play.reach() - interval 20 minutes
),

placed as (
    select
        *,
        moved_lat(
            city_lat,
            6 * (chance('trip north', trip_key) - 0.5) + sin(heading) * usual_speed * ping * 0.02
        ) as lat,
        moved_lng(
            city_lat,
            city_lng,
            6 * (chance('trip east', trip_key) - 0.5) + cos(heading) * usual_speed * ping * 0.02
        ) as lng
    from positions
    where
        later(happened_at, seconds_late) > play.reach()
        and later(happened_at, seconds_late) <= play.until()
        -- events of before the period would be of before the world
        and happened_at > play.start()
)

select
    later(happened_at, seconds_late) as arrived_at,
    geohash3(lat, lng) as key,
    to_json({
        'event_id': uuid_of('position', ping_key),
        'user_id': user_id,
        'timestamp': iso(happened_at),
        'location': {
            'lat': lat,
            'lng': lng,
            'accuracy': round(3 + 40 * chance('accuracy', ping_key) ** 2, 1)
        },
        'speed': round(speed, 2),
        'device_type': people.phone_type
    }) as value
from placed
inner join people using (user_id)

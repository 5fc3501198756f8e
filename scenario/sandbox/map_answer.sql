-- Sights and places to sleep around a position, as Overpass lists them.
with asked_for as (
    select
        regexp_extract(asked('data'), 'around:(\d+)', 1)::double as radius,
        regexp_extract(asked('data'), 'around:\d+,(-?[\d.]+)', 1)::double as lat,
        regexp_extract(asked('data'), 'around:\d+,-?[\d.]+,(-?[\d.]+)', 1)::double as lng
),

found as (
    select
        places.*,
        -- nobody edits them all on the same day
        1 + place % 7 as version
    from places
    cross join asked_for
    where
        places.category in ('hotel', 'hostel', 'resort', 'museum', 'attraction')
        and abs(places.lat - asked_for.lat) * 111320 <= asked_for.radius
        and abs(places.lng - asked_for.lng) * 111320 * cos(radians(asked_for.lat))
            <= asked_for.radius
)

select
    case
        when place % 5 = 0
        then json_object(
            'type', 'way', 'id', 1000000 + place,
            'center', json_object('lat', lat, 'lon', lng),
            'timestamp', iso(later(play.start(), -86400 * (place % 900))),
            'version', version,
            'tags', json_object('name', name, 'building', 'yes', 'tourism', tourism)
        )
        else json_object(
            'type', 'node', 'id', 1000000 + place,
            'lat', lat, 'lon', lng,
            'timestamp', iso(later(play.start(), -86400 * (place % 900))),
            'version', version,
            'tags', json_object('name', name, 'tourism', tourism)
        )
    end as item
from (select *, case when category = 'resort' then 'hotel' else category end as tourism from found)
order by place

-- Places around a position and how well known they are, as OpenTripMap lists them.
select
    to_json({
        'xid': 'N' || 1000000 + place,
        'name': name,
        'dist': round(abs(lat - asked('lat')::double) * 111320, 1),
        'rate': 1 + place % 3,
        'kinds': category,
        'point': {'lon': lng, 'lat': lat}
    }) as item
from places
where
    abs(lat - asked('lat')::double) * 111320 <= asked('radius')::double
    and abs(lng - asked('lon')::double) * 111320 * cos(radians(asked('lat')::double))
        <= asked('radius')::double
order by place

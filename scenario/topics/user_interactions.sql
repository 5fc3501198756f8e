-- What people did with places, as the apps report it.
with sent as (
    select
        later(happened_at, 0.1 + 0.8 * chance('latency', interaction_key)) as arrived_at,
        user_id::varchar as key,
        interaction_key,
        happened_at,
        to_json({
            'event_type': 'user_interaction',
            'timestamp': iso(happened_at),
            'event_id': uuid_of('interaction', interaction_key),
            'user_id': user_id,
            'session_id': session_id,
            'data': {
                'interaction_type': what,
                'place_id': places.place_id,
                'rating': case
                    when what = 'rating'
                    then greatest(1, least(5, round(
                        places.rating + 3 * (chance('rating', interaction_key) - 0.5)
                    )))
                end,
                'location': {
                    'lat': moved_lat(places.lat, chance('north', interaction_key) - 0.5),
                    'lng': moved_lng(places.lat, places.lng, chance('east', interaction_key) - 0.5),
                    'accuracy': round(4 + 60 * chance('accuracy', interaction_key) ** 2, 1)
                },
                'context': {
                    'search_query': destination,
                    'recommendation_id': recommendation_id,
                    'position_in_results': position,
                    'device_type': device_type,
                    'app_version': '8.' || (day_of_play(happened_at) // 14)::varchar || '.0'
                }
            }
        }) as message
    from interactions
    inner join places using (place)
)

select
    arrived_at,
    key,
    dirtied(
        message, 'interaction', interaction_key, happened_at,
        setting.dirty_day_recommendations(), [
        '{"data": {"rating": "five"}}',
        '{"data": {"place_id": null}}',
        '{"data": {"context": {"recommendation_id": "rec_unknown"}}}',
        '{"data": {"context": null}}',
        '{"session_id": null}',
        '{"data": {"interaction_type": "PLACE_VIEW"}}'
        ]
    ) as value
from sent

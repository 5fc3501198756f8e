-- Recommendations as they were served.
with sent as (
    select
        later(served_at, 0.1 + 0.5 * chance('latency', visit_id)) as arrived_at,
        user_id::varchar as key,
        visit_id,
        served_at,
        to_json({
            'recommendation_id': recommendation_id,
            'user_id': user_id,
            'session_id': session_id,
            'timestamp': iso(served_at),
            'algorithm': algorithm,
            'model_version': case
                when served_at < play.full_from() - interval 10 days then '2.3.1'
                else '2.4.0'
            end,
            'context': {
                'search_query': destination,
                'lat': destination_lat,
                'lng': destination_lng
            },
            'items': list_transform(
                places,
                lambda place, number: {
                    'place_id': place_id(place),
                    'position': number,
                    'score': round(1 - number * 0.07 - 0.05 * chance('score', place), 4)
                }
            ),
            'latency_ms': round(22 + 130 * chance('recommender', visit_id) ** 3, 1)
        }) as message
    from recommendations
    where served_at > play.reach() - interval 1 minute
)

select
    arrived_at,
    key,
    dirtied(message, 'recommendation', visit_id, served_at, setting.dirty_day_recommendations(), [
        '{"latency_ms": -5}',
        '{"items": "none"}',
        '{"latency_ms": null}',
        '{"items": []}',
        '{"context": null}',
        '{"algorithm": "Hybrid"}'
    ]) as value
from sent

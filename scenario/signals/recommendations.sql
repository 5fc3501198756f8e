-- Lists of places that were recommended after a search, with what people made of them.
with served as (
    select
        *,
        later(step_time(app_type, visit_id, started_at, 1), 0.35) as served_at,
        whole('list length', visit_id, 5, 10) as items,
        whole('list', visit_id, 0, 19) as first_item
    from sessions
    where
        outcome <> 'order'
        and app_type <> 'api'
        and chance('is recommended', visit_id) < setting.recommended_share()
)

select
    * exclude (items, first_item),
    'rec_' || hex_of('recommendation', visit_id, 20) as recommendation_id,
    pick('algorithm', user_id, [
        'collaborative', 'collaborative', 'content', 'popularity', 'hybrid'
    ]) as algorithm,
    -- seven is no divisor of 20: no place twice
    list_transform(
        range(items),
        lambda number: place_of(destination_rank, (first_item + number * 7) % 20)
    ) as places
from served
where served_at <= play.until()

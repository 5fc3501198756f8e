-- What people did with places. From a recommendation: places further up are looked at more often;
-- some are saved at once, some visited within three days and rated after that.
with shown as (
    select
        visit_id,
        recommendation_id,
        user_id,
        session_id,
        destination,
        device_type,
        served_at,
        unnest(places) as place,
        generate_subscripts(places, 1) as position
    from recommendations
),

looked_at as (
    select
        *,
        hash(visit_id, place) as look_key,
        later(served_at, 2 + position * 3 + 5 * chance('look', hash(visit_id, place))) as looked_at
    from shown
    where chance('looks', hash(visit_id, place)) < 0.5 / (position + 0.6)
),

visited as (
    select
        *,
        case
            when chance('visits', look_key) < 0.2
            then later(looked_at, 7200 + 250000 * chance('visited', look_key))
        end as visited_at
    from looked_at
),

-- found by searching on one's own
searched as (
    select
        visit_id,
        null as recommendation_id,
        user_id,
        session_id,
        destination,
        device_type,
        place_of(destination_rank, whole('found', visit_id, 0, 19)) as place,
        whole('found at', visit_id, 1, 20)::bigint as position,
        hash(visit_id, 'found') as look_key,
        later(started_at, 9) as looked_at
    from sessions
    where outcome <> 'order' and app_type <> 'api' and chance('finds', visit_id) < 0.3
),

done as (
    select * exclude (served_at, visited_at), 'place_view' as what, looked_at as happened_at
    from visited
    union all
    select *, 'place_view' as what, looked_at as happened_at from searched
    union all
    select * exclude (served_at, visited_at), 'save' as what, later(looked_at, 4) as happened_at
    from visited
    where chance('saves', look_key) < 0.12
    union all
    select * exclude (served_at, visited_at), 'visit' as what, visited_at as happened_at
    from visited
    where visited_at is not null
    union all
    select
        * exclude (served_at, visited_at),
        'rating' as what,
        later(visited_at, 3600 + 40000 * chance('rated', look_key)) as happened_at
    from visited
    where visited_at is not null and chance('rates', look_key) < 0.6
)

select
    * exclude (looked_at),
    hash(what, look_key) as interaction_key
from done
where happened_at > play.reach() - interval 1 minute and happened_at <= play.until()

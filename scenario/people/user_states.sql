-- Users' rows as they were after each of the changes that the play is about.
with wanted as (
    select user_id, happened_at from user_moments
    union
    select user_id, before_at as happened_at from user_moments where before_at is not null
),

eras as (
    select
        people.*,
        wanted.happened_at,
        (epoch(wanted.happened_at) / 86400)::bigint as day,
        home_rank(people.user_id, wanted.happened_at) as home_rank,
        lower(replace(strip_accents(first_name || '.' || last_name), '''', ''))
            || '.' || people.user_id || '@example.com' as address,
        is_dirty(wanted.happened_at, setting.dirty_day_commerce())
            and is_dirtied('user', hash(people.user_id, wanted.happened_at)) as is_dirty
    from wanted
    inner join people using (user_id)
)

select
    eras.user_id as id,
    case when is_dirty then upper(address) else address end as email,
    first_name || ' ' || last_name as full_name,
    case
        when is_dirty then ''
        else '+' || whole('phone', user_id, 100000000000, 499999999999)
    end as phone,
    cities.country,
    case when not is_dirty then cities.city end as city,
    case
        when is_dirty then 'GOLD '
        when happened_at < registered_at + interval 30 days then 'new'
        else pick('segment', hash(user_id, (day + user_id * 7 % 120) // 120), [
            'standard', 'standard', 'standard', 'standard', 'silver', 'silver', 'gold', 'business'
        ])
    end as segment,
    chance('marketing', hash(user_id, (day + user_id * 53 % 90) // 90)) < 0.55
        as marketing_consent,
    chance('location', hash(user_id, (day + user_id * 31 % 90) // 90)) < 0.75
        as location_consent,
    case when deleted_at <= happened_at then deleted_at end as deleted_at,
    registered_at as created_at,
    happened_at as updated_at
from eras
inner join cities on eras.home_rank = cities.city_rank

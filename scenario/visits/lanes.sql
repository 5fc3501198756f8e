-- People come through lanes, one visit after the other: so many lanes are in use at a time, by
-- app, from the quietest hour to the busiest; in each a visit begins every so many seconds.
with apps as (
    select 'mobile' as app_type, 40 as seconds, 3.0 as quiet, 7.0 as busy
    union all
    select 'web' as app_type, 60 as seconds, 2.0 as quiet, 5.0 as busy
    union all
    -- partners who book through the API
    select 'api' as app_type, 120 as seconds, 0.4 as quiet, 0.9 as busy
)

select
    app_type,
    seconds,
    quiet * play.scale() as quiet,
    busy * play.scale() as busy,
    number,
    row_number() over (order by app_type, number) as lane,
    count(*) over () + 1 as lanes  -- one more for the fraudster
from apps
cross join lateral (
    select unnest(range(ceil(apps.busy * play.scale())::bigint)) as number
)

-- How often an article was read on each day, as Wikimedia counts it.
select
    to_json({
        'project': asked('project'),
        'article': asked('article'),
        'granularity': 'daily',
        'timestamp': strftime(day, '%Y%m%d00'),
        'access': asked('access'),
        'agent': asked('agent'),
        'views': 500
            + floor(9000 * chance('read', asked('article')))::bigint
            + whole('read on a day', hash(asked('article'), day), 0, 900)
    }) as item
from (
    select unnest(generate_series(
        strptime(left(asked('first'), 8), '%Y%m%d'),
        least(strptime(left(asked('last'), 8), '%Y%m%d'), play.until() - interval 1 day),
        interval 1 day
    )) as day
)
order by day

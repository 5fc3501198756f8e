-- What is fetched from other people's services.
with fetched as (
    select * from weather
    union all
    select * from market_summaries
    union all
    select * from social_posts
    union all
    select * from news_articles
    union all
    select * from map_listings
    union all
    select * from travel_trends
)

select
    later(happened_at, 0.4 + 2 * chance('latency', fetch_key)) as arrived_at,
    source as key,
    to_json({
        'external_data_id': uuid_of('external', hash(source, fetch_key)),
        'source': source,
        'source_type': source_type,
        'timestamp': iso(happened_at),
        'data': data
    }) as value
from fetched
where happened_at > greatest(play.start(), play.reach() - interval 1 minute)

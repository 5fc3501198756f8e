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
),

sent as (
    select
        *,
        hash(source, fetch_key) as external_key,
        to_json({
            'external_data_id': uuid_of('external', hash(source, fetch_key)),
            'source': source,
            'source_type': source_type,
            'timestamp': iso(happened_at),
            'data': data
        }) as message
    from fetched
    where happened_at > greatest(play.start(), play.reach() - interval 1 minute)
)

select
    later(happened_at, 0.4 + 2 * chance('latency', fetch_key)) as arrived_at,
    source as key,
    case source
        when 'weather_api'
            then dirtied(message, 'weather', external_key, happened_at, setting.dirty_day_travel(), [
                '{"source_type": "API"}',
                '{"data": {"temperature": "n/a"}}',
                '{"data": {"humidity": null}}',
                '{"data": {"condition": "RAIN"}}',
                '{"data": {"pressure_mb": null, "wind_speed": ""}}'
            ])
        when 'social_api'
            then dirtied(message, 'post', external_key, happened_at, setting.dirty_day_content(), [
                '{"timestamp": "yesterday"}',
                '{"data": {"sentiment": "positive"}}',
                '{"data": {"platform": "Instagram"}}',
                '{"data": {"engagement": null}}',
                '{"data": {"text": "<p>Best &amp; brightest</p>"}}'
            ])
        when 'travel_news'
            then dirtied(message, 'article', external_key, happened_at, setting.dirty_day_content(), [
                '{"data": null}',
                '{"data": {"title": null}}',
                '{"data": {"published": "last week"}}',
                '{"data": {"language": "EN"}}',
                '{"data": {"summary": ""}}'
            ])
        else message
    end as value
from sent

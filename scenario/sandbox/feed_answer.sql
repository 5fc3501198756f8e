-- A newspaper's newest articles: it has some of all, in one language.
with told as (
    select
        data::json as data,
        happened_at
    from news_articles
    qualify row_number() over (partition by (data->>'link') order by happened_at) = 1
)

select
    (data->>'link') as id,
    (data->>'title') as title,
    (data->>'link') as link,
    '<p>' || (data->>'summary') || '</p>' as summary,
    (data->>'published')::timestamp as published,
    (data->>'language') as language
from told
where
    ((data->>'language') = 'de') = (asked('host') like '%.de')
    and (asked('host') like '%.de' or (data->>'language') = 'en')
    and hash(data->>'link', asked('host')) % 3 <> 0
    and (data->>'published')::timestamp <= play.until()
order by published desc, id
limit 30

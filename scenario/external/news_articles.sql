-- Articles from travel news feeds; the feeds are fetched every hour and repeat an article for three.
with written as (
    select
        slot,
        number,
        hash('article', slot, number) as article_key,
        later(slot_start, 3600 * chance('published', hash('article', slot, number)))
            as published_at,
        1 + floor(
            setting.cities() * chance('article city', hash('article', slot, number)) ** 1.5
        )::bigint as city_rank
    from slots(3600, play.reach() - interval 5 hours, play.until())
    cross join range(2) as numbers(number)
    where
        chance('is written', hash('article', slot, number)) < 0.75
),

listed as (
    select
        *,
        date_trunc('hour', published_at) + to_hours(fetch_number) as fetched_at,
        fetch_number
    from written
    cross join range(1, 4) as fetches(fetch_number)
),

told as (
    select
        *,
        pick('language', article_key, ['en', 'en', 'en', 'de', 'fr', 'es']) as language,
        whole('sentences', article_key, 2, 14) as sentences
    from listed
    inner join cities using (city_rank)
)

select
    'travel_news' as source,
    'rss' as source_type,
    hash(article_key, fetch_number) as fetch_key,
    later(fetched_at, 20) as happened_at,
    to_json({
        'title': case language
            when 'de' then city || ': ' || pick('title de', article_key, [
                'Mehr Gäste als je zuvor', 'Neue Züge ab Frühjahr', 'Hotels werden teurer'
            ])
            when 'fr' then city || ' : ' || pick('title fr', article_key, [
                'une saison record', 'de nouveaux trains au printemps', 'les hôtels plus chers'
            ])
            when 'es' then city || ': ' || pick('title es', article_key, [
                'más visitantes que nunca', 'nuevos trenes en primavera', 'hoteles más caros'
            ])
            else city || ': ' || pick('title en', article_key, [
                'record season for hotels', 'new night trains announced', 'airport strike called off',
                'museum reopens after ten years', 'festival draws crowds', 'storm delays flights'
            ])
        end,
        'link': 'https://news.example/travel/' || hex_of('article', article_key, 12),
        'summary': list_aggregate(
            list_transform(
                range(sentences),
                lambda n: case language
                    when 'de' then pick('satz', hash(article_key, n), [
                        'Die Stadt rechnet mit einem guten Sommer.',
                        'Viele Gäste kommen aus dem Ausland und bleiben länger als im Vorjahr.',
                        'Der Verband der Hotels spricht von einer Erholung, warnt aber vor Kosten.',
                        'Am Flughafen wird gebaut, und die Bahn fährt öfter.'
                    ])
                    when 'fr' then pick('phrase', hash(article_key, n), [
                        'La ville attend un bel été.',
                        'Beaucoup de visiteurs viennent de l''étranger et restent plus longtemps.',
                        'Les hôteliers parlent de reprise mais redoutent la hausse des coûts.',
                        'L''aéroport est en travaux et les trains sont plus fréquents.'
                    ])
                    when 'es' then pick('frase', hash(article_key, n), [
                        'La ciudad espera un buen verano.',
                        'Muchos visitantes llegan del extranjero y se quedan más tiempo.',
                        'Los hoteles hablan de recuperación pero temen los costes.',
                        'El aeropuerto está en obras y hay más trenes.'
                    ])
                    else pick('sentence', hash(article_key, n), [
                        'The city expects a good summer.',
                        'Many guests come from abroad and stay longer than a year ago.',
                        'Hotel owners speak of a recovery but worry about the cost of energy.',
                        'The airport is being rebuilt, and trains run more often.',
                        'Visitors praise the food and complain about the queues.',
                        'A new line connects the old town with the harbour in twenty minutes.'
                    ])
                end
            ),
            'string_agg',
            ' '
        ),
        'published': iso(published_at),
        'language': language
    }) as data
from told
where fetched_at <= play.until()

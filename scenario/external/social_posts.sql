-- What people post about places.
with posts as (
    select
        slot,
        hash('post', slot, number) as fetch_key,
        later(slot_start, 600 * chance('posted', hash('post', slot, number))) as happened_at,
        1 + floor(setting.cities() * chance('post city', hash('post', slot, number)) ** 1.5)::bigint
            as city_rank,
        chance('mood', hash('post', slot, number)) as mood
    from slots(600, play.reach() - interval 20 minutes, play.until())
    cross join range(ceil(30 * play.scale())::bigint) as numbers(number)
    where
        number + chance('is posted', hash(slot, number))
        < (6 + 24 * rhythm(slot_start)) * play.scale()
        and is_kept('post', hash('post', slot, number), slot_start)
)

select
    'social_api' as source,
    'api' as source_type,
    fetch_key,
    happened_at,
    to_json({
        'platform': pick('platform', fetch_key, [
            'instagram', 'instagram', 'x', 'tiktok', 'facebook', 'reddit'
        ]),
        'text': case
            when mood < 0.2 then pick('bad', fetch_key, [
                'Lost my luggage on the way to ', 'Rained all week in ', 'Overpriced and crowded: ',
                'Never again, '
            ])
            when mood < 0.5 then pick('plain', fetch_key, [
                'On the train to ', 'Three days in ', 'First time in ', 'Any tips for '
            ])
            else pick('good', fetch_key, [
                'Best food ever in ', 'Sunset over ', 'So happy to be back in ', 'Fell in love with '
            ])
        end || city,
        'engagement': floor(2000 * chance('engagement', fetch_key) ** 4)::bigint,
        'reach': floor(2000 * chance('engagement', fetch_key) ** 4)::bigint
            + whole('reach', fetch_key, 10, 9000),
        'sentiment': round(
            case when mood < 0.2 then -0.6 when mood < 0.5 then 0 else 0.6 end
            + 0.6 * (chance('sentiment', fetch_key) - 0.5),
            2
        )
    }) as data
from posts
inner join cities using (city_rank)

-- Public posts under a tag, newest first, as Mastodon lists them.
with tagged as (
    select
        fetch_key,
        happened_at,
        data::json as data,
        epoch_ms(happened_at) * 65536 + fetch_key % 65536 as id
    from social_posts
    where
        happened_at between play.until() - interval 1 day and play.until()
        -- a post has one of some tags
        and fetch_key % 4 = hash(asked('tag')) % 4
)

select
    to_json({
        'id': id::varchar,
        'created_at': iso(happened_at),
        'uri': 'https://mastodon.social/users/u' || fetch_key % 500 || '/statuses/' || id,
        'url': 'https://mastodon.social/@u' || fetch_key % 500 || '/' || id,
        'language': 'en',
        'visibility': 'public',
        'content': '<p>' || (data->>'text') || ' <a href="https://mastodon.social/tags/'
            || asked('tag') || '">#' || asked('tag') || '</a></p>',
        'favourites_count': (data->>'engagement')::bigint,
        'reblogs_count': (data->>'engagement')::bigint // 5,
        'replies_count': (data->>'engagement')::bigint // 20,
        'account': {
            'id': (fetch_key % 500)::varchar,
            'acct': 'u' || fetch_key % 500,
            'followers_count': (data->>'reach')::bigint
        },
        'tags': [{'name': asked('tag')}]
    }) as item
from tagged
order by id desc

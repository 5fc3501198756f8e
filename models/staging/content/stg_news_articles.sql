{{ config(materialized='incremental', unique_key='article_id') }}

with source as (
    select * from {{ source('raw', 'external_data') }}
    where {{ is_new() }}
),

-- whichever feed says it: an item with a title and a link or summary is an article
typed as (
    select
        -- a feed lists an article for days: its link names it
        coalesce(nullif(trim({{ json_text('data', 'link') }}), ''), external_data_id) as article_id,

        {{ json_text('data', 'title') }} as title,
        nullif({{ json_text('data', 'summary') }}, '') as summary,
        nullif(trim({{ json_text('data', 'link') }}), '') as link,
        lower({{ json_text('data', 'language') }}) as language,

        source as reported_by,
        _partition,
        _offset,

        -- times
        {{ utc_timestamp(json_text('data', 'published')) }} as published_at,
        case
            when {{ is_time_plausible('timestamp', '_kafka_timestamp') }} then timestamp
            else _kafka_timestamp
        end as fetched_at,
        _loaded_at as loaded_at
    from source
    where {{ json_text('data', 'title') }} is not null
        and coalesce({{ json_text('data', 'link') }}, {{ json_text('data', 'summary') }}) is not null
),

newest as (
    select
        article_id,
        title,
        summary,
        link,
        language,
        reported_by,
        published_at,
        fetched_at,
        loaded_at
    from typed
    qualify row_number() over (
        partition by article_id
        order by fetched_at desc, loaded_at desc, _partition desc, _offset desc
    ) = 1
),

current_version as (
    select * from newest
    where {{ is_not_outdated('newest', 'article_id', 'fetched_at') }}
)

select * from current_version

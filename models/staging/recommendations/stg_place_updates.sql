{{ config(materialized='incremental', incremental_strategy='append') }}

with reported as (
    select
        'place_updates' as channel,
        event_id as update_id,
        place_id,
        change,
        name,
        category,
        city,
        country,
        try_cast({{ json_text('location', 'lat') }} as double) as latitude,
        try_cast({{ json_text('location', 'lng') }} as double) as longitude,
        cast(rating as decimal(3,1)) as rating,
        cast(price_level as integer) as price_level,
        cast(null as double) as popularity,
        cast(null as bigint) as hotels_nearby,
        source as reported_by,
        timestamp as updated_at,
        _partition,
        _offset,
        _kafka_timestamp,
        _loaded_at
    from {{ source('raw', 'place_updates') }}
    where {{ is_new() }}
),

-- items of external data that name a place come from maps
listed as (
    select
        'external_data' as channel,
        external_data_id as update_id,
        {{ json_text('data', 'place_id') }} as place_id,
        cast(null as varchar) as change,
        {{ json_text('data', 'name') }} as name,
        {{ json_text('data', 'category') }} as category,
        {{ json_text('data', 'city') }} as city,
        {{ json_text('data', 'country') }} as country,
        try_cast({{ json_text('data', 'lat') }} as double) as latitude,
        try_cast({{ json_text('data', 'lng') }} as double) as longitude,
        try_cast({{ json_text('data', 'rating') }} as decimal(3,1)) as rating,
        cast(null as integer) as price_level,
        try_cast({{ json_text('data', 'popularity') }} as double) as popularity,
        try_cast({{ json_text('data', 'hotels_nearby') }} as bigint) as hotels_nearby,
        source as reported_by,
        timestamp as updated_at,
        _partition,
        _offset,
        _kafka_timestamp,
        _loaded_at
    from {{ source('raw', 'external_data') }}
    where {{ is_new() }} and {{ json_text('data', 'place_id') }} is not null
),

both_channels as (
    select * from reported
    union all
    select * from listed
),

first_sent as (
    select
        *,
        latitude between -90 and 90 and longitude between -180 and 180 as is_on_earth
    from both_channels
    qualify row_number() over (
        partition by channel, update_id
        order by _loaded_at, _partition, _offset
    ) = 1
),

typed as (
    select
        -- ids
        channel,
        update_id,
        place_id,

        -- what is said of the place
        change,
        nullif(trim(name), '') as name,
        nullif(lower(trim(category)), '') as category,
        nullif(trim(city), '') as city,
        nullif(upper(trim(country)), '') as country,
        case when is_on_earth then latitude end as latitude,
        case when is_on_earth then longitude end as longitude,
        case when rating between 0 and 5 then rating end as rating,
        price_level,
        popularity,
        case when hotels_nearby >= 0 then hotels_nearby end as hotels_nearby,
        reported_by,

        -- tell updates of the same moment apart
        _partition as kafka_partition,
        _offset as kafka_offset,

        -- times
        {{ is_time_plausible('updated_at', '_kafka_timestamp') }} as is_time_plausible,
        updated_at,
        _kafka_timestamp as received_at,
        _loaded_at as loaded_at
    from first_sent
),

unseen as (
    select * from typed
    where {{ is_unseen('typed', ['channel', 'update_id']) }}
)

select * from unseen

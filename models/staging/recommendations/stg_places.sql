{{ config(materialized='incremental', unique_key='place_id') }}

with touched as (
    select distinct place_id from {{ ref('stg_place_updates') }}
    where {{ is_new('loaded_at') }}
),

updates as (
    select
        *,
        row_number() over (
            partition by place_id
            order by updated_at, loaded_at, channel, kafka_partition, kafka_offset
        ) as version
    from {{ ref('stg_place_updates') }}
    where is_time_plausible and {{ is_touched('place_id') }}
),

-- no source says everything of a place: each attribute comes from the newest update that has it
newest as (
    select
        place_id,
        max_by(name, case when name is not null then version end) as name,
        max_by(category, case when category is not null then version end) as category,
        max_by(city, case when city is not null then version end) as city,
        max_by(country, case when country is not null then version end) as country,
        max_by(latitude, case when latitude is not null then version end) as latitude,
        max_by(longitude, case when latitude is not null then version end) as longitude,
        max_by(rating, case when rating is not null then version end) as rating,
        max_by(price_level, case when price_level is not null then version end) as price_level,
        max_by(popularity, case when popularity is not null then version end) as popularity,
        max_by(hotels_nearby, case when hotels_nearby is not null then version end) as hotels_nearby,
        max_by(change, case when change is not null then version end) as change,
        min(updated_at) as first_seen_at,
        max(updated_at) as updated_at,
        max(loaded_at) as loaded_at
    from updates
    group by place_id
),

-- maps give positions without addresses: the city is then the nearest that we know, within 50 km
distances as (
    select
        newest.place_id,
        cities.city,
        cities.country_code,
        {{ haversine_meters('newest.latitude', 'newest.longitude', 'cities.latitude', 'cities.longitude') }}
            as meters
    from newest
    cross join {{ ref('ref_cities') }} as cities
    where newest.latitude is not null and (newest.city is null or newest.country is null)
),

nearest_city as (
    select * from distances
    where meters <= 50000
    qualify row_number() over (partition by place_id order by meters, city) = 1
),

located as (
    select
        newest.place_id,

        -- what it is
        newest.name,
        newest.category,
        newest.price_level,
        newest.rating,
        newest.popularity,
        newest.hotels_nearby,
        coalesce(newest.change = 'closed', false) as is_closed,

        -- where it is
        coalesce(newest.city, nearest_city.city) as city,
        coalesce(newest.country, nearest_city.country_code) as country,
        newest.latitude,
        newest.longitude,
        {{ geohash('newest.latitude', 'newest.longitude', 7) }} as geohash,

        -- times
        newest.first_seen_at,
        newest.updated_at,
        newest.loaded_at
    from newest
    left join nearest_city on newest.place_id = nearest_city.place_id
)

select * from located

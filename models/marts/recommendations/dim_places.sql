with places as (
    select * from {{ ref('stg_places') }}
),

countries as (
    select * from {{ ref('ref_countries') }}
),

described as (
    select
        places.place_id,

        -- what it is
        places.name,
        places.category,
        places.price_level,
        places.rating,
        places.popularity,
        places.hotels_nearby,
        places.is_closed,

        -- where it is
        places.city,
        places.country,
        coalesce(countries.region, 'Unknown') as region,
        places.latitude,
        places.longitude,
        places.geohash,

        -- timestamps
        places.first_seen_at,
        places.updated_at,
        places.loaded_at
    from places
    left join countries on places.country = countries.country_code
)

select * from described

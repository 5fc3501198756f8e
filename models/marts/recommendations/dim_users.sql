with users as (
    select * from {{ ref('stg_users') }}
    where not is_deleted
),

countries as (
    select * from {{ ref('ref_countries') }}
),

described as (
    select
        users.user_id,

        -- where the user lives
        users.city,
        users.country,
        coalesce(countries.region, 'Unknown') as region,

        -- what the business knows and may do
        users.segment,
        users.marketing_consent,
        users.location_consent,

        -- timestamps
        users.created_at,
        users.updated_at,
        users.loaded_at
    from users
    left join countries on users.country = countries.country_code
)

select * from described

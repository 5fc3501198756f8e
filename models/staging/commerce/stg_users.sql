{{ config(materialized='incremental', unique_key='user_id') }}

with source as (
    select * from {{ source('raw', 'app_users') }}
    where {{ is_new() }}
    {{ newest_version('id') }}
),

typed as (
    select
        -- ids
        id as user_id,

        -- the person
        lower(trim(email)) as email,
        nullif(trim(full_name), '') as full_name,
        nullif(trim(phone), '') as phone,
        country,
        nullif(trim(city), '') as city,
        nullif(lower(trim(segment)), '') as segment,

        -- what they agreed to
        marketing_consent,
        location_consent,

        -- a closed account is as gone as a row that left the source
        (_deleted or deleted_at is not null) as is_deleted,

        -- timestamps (UTC)
        deleted_at,
        created_at,
        updated_at,
        _loaded_at as loaded_at
    from source
)

select * from typed
where {{ is_not_outdated('typed', 'user_id') }}

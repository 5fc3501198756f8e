{{ config(materialized='incremental', unique_key='product_id') }}

with source as (
    select * from {{ source('raw', 'app_products') }}
    where {{ is_new() }}
    {{ newest_version('id') }}
),

typed as (
    select
        -- ids
        id as product_id,

        -- strings
        trim(name) as product_name,
        nullif(lower(trim(category)), '') as category,
        nullif(trim(brand), '') as brand,

        -- numerics
        price_cents,
        stock,

        _deleted as is_deleted,

        -- timestamps (UTC)
        created_at,
        updated_at,
        _loaded_at as loaded_at
    from source
)

select * from typed
where {{ is_not_outdated('typed', 'product_id') }}

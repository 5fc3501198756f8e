{{ config(materialized='incremental', unique_key='order_id') }}

with source as (
    select * from {{ source('raw', 'app_orders') }}
    where {{ is_new() }}
    {{ newest_version('id') }}
),

typed as (
    select
        -- ids
        id as order_id,
        user_id,

        -- strings
        status,
        currency,

        -- money, in the currency's smallest unit
        total_amount_cents,

        _deleted as is_deleted,

        -- timestamps (UTC)
        created_at,
        updated_at,
        _loaded_at as loaded_at
    from source
)

select * from typed
where {{ is_not_outdated('typed', 'order_id') }}

{{ config(materialized='incremental', unique_key='order_item_id') }}

with source as (
    select * from {{ source('raw', 'app_order_items') }}
    where {{ is_new() }}
    {{ newest_version('id') }}
),

typed as (
    select
        -- ids
        id as order_item_id,
        order_id,
        product_id,

        -- numerics; money in the smallest unit of the order's currency
        quantity,
        unit_price_cents,
        cast(quantity * unit_price_cents as bigint) as line_amount_cents,

        _deleted as is_deleted,

        -- timestamps (UTC)
        created_at,
        updated_at,
        _loaded_at as loaded_at
    from source
)

select * from typed
where {{ is_not_outdated('typed', 'order_item_id') }}

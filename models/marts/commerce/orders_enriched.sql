{{ config(
    materialized='incremental',
    unique_key='order_id',
    post_hook="{{ without_gone_rows('status') }}"
) }}

-- a buyer's segment and lifetime value stand on all of their orders, so a buyer is done whole
with touched as (
    select user_id from {{ ref('stg_orders') }}
    where {{ is_new('loaded_at') }}
    union
    select orders.user_id from {{ ref('stg_order_items') }} as items
    inner join {{ ref('stg_orders') }} as orders on items.order_id = orders.order_id
    where {{ is_new('items.loaded_at') }}
    union
    select user_id from {{ ref('fct_payments') }}
    where user_id is not null and {{ is_new('loaded_at') }}
    {%- if is_incremental() %}
    union
    -- accounts are touched all the time; only one in another segment changes its orders
    select kept.user_id from {{ this }} as kept
    inner join {{ ref('stg_users') }} as users on kept.user_id = users.user_id
    where {{ is_new('users.loaded_at') }}
        and coalesce(kept.user_segment, '') <> coalesce(users.segment, '')
    union
    -- stock moves with every sale; only a product that was sorted in anew changes its orders
    select kept.user_id from {{ this }} as kept
    inner join {{ ref('stg_products') }} as products on kept.product_id = products.product_id
    where {{ is_new('products.loaded_at') }}
        and (
            coalesce(kept.category, '') <> coalesce(products.category, '')
            or coalesce(kept.brand, '') <> coalesce(products.brand, '')
        )
    {%- endif %}
),

orders as (
    select * from {{ ref('stg_orders') }}
    where {{ is_touched('user_id') }}
),

items as (
    select items.* from {{ ref('stg_order_items') }} as items
    inner join orders on items.order_id = orders.order_id
),

-- the line with the largest amount; of equal lines the first
largest_items as (
    select * from items
    where not is_deleted
    qualify row_number() over (
        partition by order_id
        order by line_amount_cents desc, order_item_id
    ) = 1
),

item_totals as (
    select
        order_id,
        cast(sum(case when is_deleted then 0 else 1 end) as bigint) as lines,
        cast(sum(case when is_deleted then 0 else quantity end) as bigint) as pieces,
        max(loaded_at) as loaded_at
    from items
    group by order_id
),

-- amounts in different currencies are never added
lifetime_values as (
    select
        user_id,
        currency,
        cast(sum(net_cents) as bigint) as lifetime_value_cents,
        max(loaded_at) as loaded_at
    from {{ ref('fct_payments') }}
    where user_id is not null and {{ is_touched('user_id') }}
    group by user_id, currency
),

products as (
    select * from {{ ref('stg_products') }}
),

users as (
    select * from {{ ref('stg_users') }}
),

enriched as (
    select
        -- ids
        orders.order_id,
        orders.user_id,
        largest_items.product_id,

        -- the order
        case when orders.is_deleted then 'gone' else orders.status end as status,
        orders.currency,
        orders.total_amount_cents,
        coalesce(item_totals.lines, 0) as lines,
        coalesce(item_totals.pieces, 0) as pieces,

        -- its largest item
        products.category,
        products.brand,

        -- the buyer
        users.segment as user_segment,
        coalesce(lifetime_values.lifetime_value_cents, 0) as lifetime_value_cents,

        -- timestamps (UTC)
        orders.created_at,
        orders.updated_at,
        greatest(
            orders.loaded_at,
            coalesce(item_totals.loaded_at, orders.loaded_at),
            coalesce(lifetime_values.loaded_at, orders.loaded_at)
        ) as loaded_at
    from orders
    left join largest_items on orders.order_id = largest_items.order_id
    left join item_totals on orders.order_id = item_totals.order_id
    left join products on largest_items.product_id = products.product_id
    left join users on orders.user_id = users.user_id
    left join lifetime_values
        on orders.user_id = lifetime_values.user_id
        and orders.currency = lifetime_values.currency
)

select * from enriched

{# Recency depends on the clock, so the features are computed whole each day, not incrementally. #}

with clock as (
    select {{ as_of() }} as features_at
),

products as (
    select products.*, clock.features_at
    from {{ ref('stg_products') }} as products
    cross join clock
    where not products.is_deleted
        and products.created_at <= clock.features_at
),

sales as (
    select
        items.product_id,
        items.order_id,
        items.quantity,
        orders.user_id,
        orders.status,
        orders.created_at,
        (orders.created_at > {{ dbt.dateadd('day', -30, 'clock.features_at') }}) as is_recent,
        greatest(items.loaded_at, orders.loaded_at) as loaded_at
    from {{ ref('stg_order_items') }} as items
    inner join {{ ref('stg_orders') }} as orders on items.order_id = orders.order_id
    cross join clock
    where not items.is_deleted
        and not orders.is_deleted
        and orders.status <> 'cancelled'
        and orders.created_at <= clock.features_at
),

sales_features as (
    select
        product_id,
        cast(count(distinct order_id) as bigint) as order_count,
        cast(count(distinct case when is_recent then order_id end) as bigint) as order_count_30d,
        cast(sum(quantity) as bigint) as units_sold,
        cast(sum(case when is_recent then quantity else 0 end) as bigint) as units_sold_30d,
        cast(count(distinct user_id) as bigint) as buyer_count,
        cast(count(distinct case when status = 'returned' then order_id end) as bigint)
            as returned_order_count,
        max(created_at) as last_order_at,
        max(loaded_at) as loaded_at
    from sales
    group by product_id
),

category_prices as (
    select
        category,
        avg(cast(price_cents as double)) as mean_price_cents
    from products
    group by category
),

final as (
    select
        -- ids
        products.product_id,
        products.features_at,

        -- what it is
        products.category,
        products.brand,
        products.price_cents,
        {{ safe_divide('products.price_cents', 'category_prices.mean_price_cents') }}
            as price_to_category_mean,
        cast({{ dbt.datediff('products.created_at', 'products.features_at', 'day') }} as bigint) as age_days,
        products.stock,

        -- how it sells
        coalesce(sales_features.order_count, 0) as order_count,
        coalesce(sales_features.order_count_30d, 0) as order_count_30d,
        coalesce(sales_features.units_sold, 0) as units_sold,
        coalesce(sales_features.units_sold_30d, 0) as units_sold_30d,
        coalesce(sales_features.buyer_count, 0) as buyer_count,
        coalesce({{ safe_divide('sales_features.returned_order_count', 'sales_features.order_count') }}, 0)
            as return_rate,
        cast({{ dbt.datediff('sales_features.last_order_at', 'products.features_at', 'day') }} as bigint)
            as days_since_last_order,

        greatest(products.loaded_at, coalesce(sales_features.loaded_at, products.loaded_at)) as loaded_at
    from products
    left join sales_features on products.product_id = sales_features.product_id
    -- products that are not sorted in are a group of their own
    left join category_prices
        on coalesce(products.category, '') = coalesce(category_prices.category, '')
)

select * from final

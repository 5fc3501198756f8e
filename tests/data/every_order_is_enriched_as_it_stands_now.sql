-- Each order that is not deleted stands in orders_enriched in its newest state, and nothing else does.
with orders as (
    select * from {{ ref('stg_orders') }}
    where not is_deleted
),

enriched as (
    select * from {{ ref('orders_enriched') }}
)

select
    coalesce(orders.order_id, enriched.order_id) as order_id,
    orders.status,
    enriched.status as enriched_status
from orders
full outer join enriched on orders.order_id = enriched.order_id
where orders.order_id is null
    or enriched.order_id is null
    or orders.status <> enriched.status
    or orders.total_amount_cents <> enriched.total_amount_cents
    or orders.updated_at <> enriched.updated_at

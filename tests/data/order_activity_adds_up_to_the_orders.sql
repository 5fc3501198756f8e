-- Every order that is not deleted lies in exactly one window of its buyer.
with windows as (
    select
        user_id,
        sum(orders) as orders
    from {{ ref('order_activity_5m') }}
    group by user_id
),

orders as (
    select
        user_id,
        count(*) as orders
    from {{ ref('stg_orders') }}
    where not is_deleted
    group by user_id
)

select
    coalesce(windows.user_id, orders.user_id) as user_id,
    windows.orders as orders_in_windows,
    orders.orders
from windows
full outer join orders on windows.user_id = orders.user_id
where coalesce(windows.orders, 0) <> coalesce(orders.orders, 0)

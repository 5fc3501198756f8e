-- What is in the orders: one to four products each, never one twice. Items never change.
with items as (
    select
        visit_id as order_id,
        is_fraud,
        step_time(app_type, visit_id, started_at, steps - 2) as created_at,
        cities.per_euro,
        cities.minor_units,
        item
    from visits
    inner join cities on visits.home_rank = cities.city_rank
    cross join range(4) as items(item)
    where
        outcome = 'order'
        and (item = 0 or chance('more items', visit_id) < [0.45, 0.2, 0.07][item])
)

select
    order_id * 4 + item as order_item_id,
    order_id,
    1 + (whole('product of order', order_id, 0, product_count() - 1) + item * 7)
        % product_count() as product_id,
    case
        when is_fraud then 20 + 5 * item
        else [1, 1, 1, 1, 1, 1, 2, 2, 3][whole('quantity', order_id * 4 + item, 1, 9)]
    end as quantity,
    in_smallest_unit(product_euros(product_id, created_at), per_euro, minor_units) as unit_price,
    created_at
from items

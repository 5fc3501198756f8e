-- Items' rows of the orders that were placed in the play.
select
    order_item_id as id,
    order_id,
    product_id,
    quantity,
    unit_price as unit_price_cents,
    created_at,
    created_at as updated_at
from order_items_made
where created_at > play.since() and created_at <= play.until()

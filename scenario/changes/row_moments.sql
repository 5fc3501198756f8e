-- When rows of the operational database changed in the play, and the change before.
select 'users' as table_name, user_id as id, happened_at, before_at, operation
from user_moments
union all
select 'products' as table_name, product_id as id, happened_at, before_at, operation
from product_moments
union all
select 'orders' as table_name, order_id as id, happened_at, before_at, operation
from order_moments
union all
select
    'order_items' as table_name,
    order_item_id as id,
    created_at as happened_at,
    null as before_at,
    'INSERT' as operation
from order_items_made
where created_at > play.since() and created_at <= play.until()
union all
select 'bookings' as table_name, booking_id as id, happened_at, before_at, operation
from booking_moments
union all
select 'payments' as table_name, payment_id as id, happened_at, before_at, operation
from payment_moments

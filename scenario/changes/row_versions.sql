-- Rows of the operational database as JSON, in each version that the play's changes are about.
with users as (
    select id, updated_at as version_at, to_json(states) as row_values
    from user_states as states
),

products as (
    select id, updated_at as version_at, to_json(states) as row_values
    from product_states as states
),

orders as (
    select id, updated_at as version_at, to_json(states) as row_values
    from order_states as states
),

items as (
    select id, updated_at as version_at, to_json(states) as row_values
    from order_item_states as states
),

bookings as (
    select id, updated_at as version_at, to_json(states) as row_values
    from booking_states as states
),

payments as (
    select id, updated_at as version_at, to_json(states) as row_values
    from payment_states as states
),

together as (
    select 'users' as table_name, * from users
    union all
    select 'products' as table_name, * from products
    union all
    select 'orders' as table_name, * from orders
    union all
    select 'order_items' as table_name, * from items
    union all
    select 'bookings' as table_name, * from bookings
    union all
    select 'payments' as table_name, * from payments
)

select
    table_name,
    id,
    version_at,
    -- times as the connector writes them
    regexp_replace(
        row_values::varchar,
        '"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)?"',
        '"\1T\2\3Z"',
        'g'
    )::json as row_values
from together

-- Rows of the operational database as JSON, in each version that the play's changes are about;
-- times as the connector writes them.
select
    'users' as table_name,
    id,
    updated_at as version_at,
    to_json(struct_update(
        states,
        deleted_at := iso(deleted_at),
        created_at := iso(created_at),
        updated_at := iso(updated_at)
    )) as row_values
from user_states as states
union all
select
    'products' as table_name,
    id,
    updated_at as version_at,
    to_json(struct_update(
        states,
        created_at := iso(created_at),
        updated_at := iso(updated_at)
    )) as row_values
from product_states as states
union all
select
    'orders' as table_name,
    id,
    updated_at as version_at,
    to_json(struct_update(
        states,
        created_at := iso(created_at),
        updated_at := iso(updated_at)
    )) as row_values
from order_states as states
union all
select
    'order_items' as table_name,
    id,
    updated_at as version_at,
    to_json(struct_update(
        states,
        created_at := iso(created_at),
        updated_at := iso(updated_at)
    )) as row_values
from order_item_states as states
union all
select
    'bookings' as table_name,
    id,
    updated_at as version_at,
    to_json(struct_update(
        states,
        created_at := iso(created_at),
        updated_at := iso(updated_at)
    )) as row_values
from booking_states as states
union all
select
    'payments' as table_name,
    id,
    updated_at as version_at,
    to_json(struct_update(
        states,
        created_at := iso(created_at),
        updated_at := iso(updated_at)
    )) as row_values
from payment_states as states

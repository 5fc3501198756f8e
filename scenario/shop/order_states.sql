-- Orders' rows as they were after each of the changes that the play is about.
with wanted as (
    select order_id, happened_at from order_moments
    union
    select order_id, before_at as happened_at from order_moments where before_at is not null
)

select
    order_id as id,
    user_id,
    case
        when returned_at <= happened_at then 'returned'
        when delivered_at <= happened_at then 'delivered'
        when shipped_at <= happened_at then 'shipped'
        when cancelled_at <= happened_at then 'cancelled'
        when paid_at <= happened_at then 'paid'
        else 'placed'
    end as status,
    currency,
    total_amount as total_amount_cents,
    created_at,
    happened_at as updated_at
from wanted
inner join orders_made using (order_id)

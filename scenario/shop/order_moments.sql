-- When orders' rows changed, up to the end of the play, and the change before (`before_at`).
with happened as (
    select
        order_id,
        unnest([
            created_at, paid_at, cancelled_at, shipped_at, delivered_at, returned_at
        ]) as happened_at
    from orders_made
),

numbered as (
    select
        order_id,
        happened_at,
        lag(happened_at) over (partition by order_id order by happened_at) as before_at
    from happened
    where happened_at <= play.until()
)

select
    order_id,
    happened_at,
    before_at,
    case when before_at is null then 'INSERT' else 'UPDATE' end as operation
from numbered
where happened_at > play.since()

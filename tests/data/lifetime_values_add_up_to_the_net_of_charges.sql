-- A buyer's orders all say the same lifetime value, and it is the net of the buyer's charges.
with values_on_orders as (
    select
        user_id,
        currency,
        min(lifetime_value_cents) as least_cents,
        max(lifetime_value_cents) as most_cents
    from {{ ref('orders_enriched') }}
    group by user_id, currency
),

charges as (
    select
        user_id,
        currency,
        sum(net_cents) as net_cents
    from {{ ref('fct_payments') }}
    where user_id is not null
    group by user_id, currency
)

select
    values_on_orders.*,
    charges.net_cents
from values_on_orders
left join charges
    on values_on_orders.user_id = charges.user_id
    and values_on_orders.currency = charges.currency
where values_on_orders.least_cents <> coalesce(charges.net_cents, 0)
    or values_on_orders.most_cents <> coalesce(charges.net_cents, 0)

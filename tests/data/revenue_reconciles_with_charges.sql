-- Revenue over all days is what the charges that succeeded brought in, less what was given back: no
-- charge is left out, counted twice, or still counted as it was before its refund.
with revenue as (
    select
        currency,
        sum(gross_cents) as gross_cents,
        sum(refunded_cents) as refunded_cents
    from {{ ref('revenue_by_day') }}
    group by currency
),

charges as (
    select
        currency,
        sum(amount_cents) as gross_cents,
        sum(amount_refunded_cents) as refunded_cents
    from {{ ref('stg_payments') }}
    where is_paid
    group by currency
)

select
    coalesce(revenue.currency, charges.currency) as currency,
    revenue.gross_cents as gross_cents_by_day,
    charges.gross_cents as gross_cents_of_charges,
    revenue.refunded_cents as refunded_cents_by_day,
    charges.refunded_cents as refunded_cents_of_charges
from revenue
full outer join charges on revenue.currency = charges.currency
where coalesce(revenue.gross_cents, 0) <> coalesce(charges.gross_cents, 0)
    or coalesce(revenue.refunded_cents, 0) <> coalesce(charges.refunded_cents, 0)

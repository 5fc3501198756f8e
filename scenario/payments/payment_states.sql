-- Payments' rows as they were after each of the changes that the play is about.
with wanted as (
    select payment_id, happened_at from payment_moments
    union
    select payment_id, before_at as happened_at from payment_moments where before_at is not null
)

select
    payment_id as id,
    order_id,
    booking_id,
    charge_id,
    amount as amount_cents,
    case
        when refunded_at <= happened_at and refund_amount < amount then 'partially_refunded'
        when refunded_at <= happened_at then 'refunded'
        when ended_at <= happened_at and fails then 'failed'
        when ended_at <= happened_at then 'succeeded'
        else 'pending'
    end as status,
    created_at,
    happened_at as updated_at
from wanted
inner join payments_made using (payment_id)

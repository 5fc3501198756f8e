-- Payments' rows as they were after each of the changes that the play is about.
with wanted as (
    select payment_id, happened_at from payment_moments
    union
    select payment_id, before_at as happened_at from payment_moments where before_at is not null
),

stated as (
    select
        payments_made.*,
        wanted.happened_at,
        case
            when refunded_at <= happened_at and refund_amount < amount then 'partially_refunded'
            when refunded_at <= happened_at then 'refunded'
            when ended_at <= happened_at and fails then 'failed'
            when ended_at <= happened_at then 'succeeded'
            else 'pending'
        end as status
    from wanted
    inner join payments_made using (payment_id)
)

select
    payment_id as id,
    order_id,
    booking_id,
    charge_id,
    amount as amount_cents,
    case
        when is_dirty(happened_at, setting.dirty_day_commerce())
            and is_dirtied('payment', hash(payment_id, happened_at))
        then upper(status)
        else status
    end as status,
    created_at,
    happened_at as updated_at
from stated

-- Every attempt to pay that something of the play can come of: a charge at the payment service and
-- a row in the database each. Refunds are given for what was paid, at most all of it.
with bought as (
    select
        visit_id,
        null::bigint as order_id,
        booking_id,
        user_id,
        country,
        currency,
        total_amount,
        false as is_fraud,
        pay_at,
        is_declined,
        tries_again,
        settled_at,
        -- late cancellations cost a fifth
        case when settled_at is not null then cancelled_at end as refund_due_at,
        case
            when epoch(check_in) - epoch(cancelled_at) < 7 * 86400 then total_amount * 4 // 5
            else total_amount
        end as refund_amount
    from bookings_made
    where outcome = 'book'
    union all
    select
        visit_id,
        order_id,
        null as booking_id,
        user_id,
        country,
        currency,
        total_amount,
        is_fraud,
        pay_at,
        is_declined,
        tries_again,
        settled_at,
        case when settled_at is not null then coalesce(cancelled_at, returned_at) end
            as refund_due_at,
        total_amount as refund_amount
    from orders_made
),

attempts as (
    select
        *,
        0 as attempt,
        pay_at as created_at,
        is_declined as fails,
        case when is_declined then later(pay_at, 1.2) else settled_at end as ended_at
    from bought
    union all
    select
        *,
        1 as attempt,
        later(pay_at, 41) as created_at,
        false as fails,
        settled_at as ended_at
    from bought
    where is_declined and tries_again
)

select
    visit_id * 2 + attempt as payment_id,
    'ch_' || hex_of('charge', visit_id * 2 + attempt, 24) as charge_id,
    order_id,
    booking_id,
    user_id,
    case
        when is_fraud then pick('stolen card', payment_id, ['NG', 'VN', 'BR', 'TR'])
        when chance('foreign card', payment_id) < 0.02
            then pick('card country', payment_id, ['US', 'GB', 'DE', 'FR', 'ES'])
        else country
    end as card_country,
    pick('card brand', user_id, ['visa', 'visa', 'mastercard', 'mastercard', 'amex'])
        as card_brand,
    currency,
    total_amount as amount,
    created_at,
    ended_at,
    fails,
    pick('failure', payment_id, [
        'card_declined', 'card_declined', 'insufficient_funds', 'expired_card', 'incorrect_cvc'
    ]) as failure_code,
    case
        when not fails then later(refund_due_at, 60 + 86400 * 2 * chance('refunded', visit_id))
    end as refunded_at,
    refund_amount,
    case
        when not fails and (is_fraud or chance('disputes', payment_id) < 0.002)
        then later(ended_at, 86400 * (2 + 8 * chance('disputed', payment_id)))
    end as disputed_at
from attempts

-- Charges that were made or changed in the play, as the payment service's API sends them.
select
    to_json({
        'id': charge_id,
        'object': 'charge',
        'amount': amount,
        'amount_captured': case when is_settled and not fails then amount else 0 end,
        'amount_refunded': case when is_refunded then refund_amount else 0 end,
        'captured': is_settled and not fails,
        'created': epoch(created_at)::bigint,
        'currency': lower(currency),
        'customer': 'cus_' || hex_of('customer', user_id, 14),
        'disputed': is_disputed,
        'failure_code': case when is_settled and fails then failure_code end,
        'failure_message': case when is_settled and fails then 'Your card was declined.' end,
        'livemode': false,
        'metadata': case
            when order_id is not null then to_json({'order_id': order_id::varchar})
            else to_json({'booking_id': booking_id::varchar})
        end,
        'paid': is_settled and not fails,
        'payment_method_details': {
            'type': 'card',
            'card': {
                'brand': card_brand,
                'country': card_country,
                'last4': lpad(whole('card', user_id, 0, 9999)::varchar, 4, '0')
            }
        },
        'refunded': is_refunded and refund_amount = amount,
        'status': case
            when not is_settled then 'pending'
            when fails then 'failed'
            else 'succeeded'
        end
    }) as charge
from (
    select
        *,
        ended_at <= play.until() as is_settled,
        coalesce(refunded_at <= play.until(), false) as is_refunded,
        coalesce(disputed_at <= play.until(), false) as is_disputed
    from payments_made
)
where
    created_at <= play.until()
    and (
        created_at > play.since()
        or ended_at between play.since() + interval 1 millisecond and play.until()
        or refunded_at between play.since() + interval 1 millisecond and play.until()
        or disputed_at between play.since() + interval 1 millisecond and play.until()
    )

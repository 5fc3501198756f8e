-- Payments whose row changed in the play.
with newest as (
    select payment_id, max(happened_at) as happened_at
    from payment_moments
    group by payment_id
)

select payment_states.*
from payment_states
inner join newest
    on payment_states.id = newest.payment_id
    and payment_states.updated_at = newest.happened_at

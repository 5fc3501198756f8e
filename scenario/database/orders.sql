-- Orders whose row changed in the play.
with newest as (
    select order_id, max(happened_at) as happened_at
    from order_moments
    group by order_id
)

select order_states.*
from order_states
inner join newest
    on order_states.id = newest.order_id
    and order_states.updated_at = newest.happened_at

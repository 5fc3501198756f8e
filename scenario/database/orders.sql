-- Orders whose row changed in the play.
select order_states.*
from order_states
inner join (select order_id, max(happened_at) as happened_at from order_moments group by order_id) as newest
    on order_states.id = newest.order_id and order_states.updated_at = newest.happened_at

-- Products whose row changed in the play.
with newest as (
    select product_id, max(happened_at) as happened_at
    from product_moments
    group by product_id
)

select product_states.*
from product_states
inner join newest
    on product_states.id = newest.product_id
    and product_states.updated_at = newest.happened_at

-- Products' rows as they were after each of the changes that the play is about.
with wanted as (
    select product_id, happened_at from product_moments
    union
    select product_id, before_at as happened_at from product_moments where before_at is not null
)

select
    product_id as id,
    pick('product adjective', product_id, [
        'Light', 'Compact', 'Classic', 'Urban', 'Alpine', 'Coastal', 'Folding', 'Padded',
        'Waterproof', 'Quiet'
    ])
    || ' ' || product_noun(product_id) as name,
    product_category(product_id) as category,
    pick('brand', product_id, [
        'Northway', 'Calima', 'Fernweh', 'Tramontana', 'Kestrel', 'Wanderly', 'Oru', 'Baltic'
    ]) as brand,
    round(product_euros(product_id, happened_at) * 100)::bigint as price_cents,
    -- sold evenly until it is refilled
    floor(
        whole('capacity', product_id, 20, 400)
        * (1 - (
            epoch(happened_at) / whole('refill', product_id, 4 * 86400, 20 * 86400)
            + chance('refilled', product_id)
        ) % 1)
    )::bigint as stock,
    later(play.start(), -86400 * whole('on sale', product_id, 30, 900)) as created_at,
    happened_at as updated_at
from wanted

-- Products' rows as they were after each of the changes that the play is about.
with wanted as (
    select product_id, happened_at from product_moments
    union
    select product_id, before_at as happened_at from product_moments where before_at is not null
),

described as (
    select
        *,
        is_dirty(happened_at, setting.dirty_day_commerce())
            and is_dirtied('product', hash(product_id, happened_at)) as is_dirty
    from wanted
)

select
    product_id as id,
    pick('product adjective', product_id, [
        'Light', 'Compact', 'Classic', 'Urban', 'Alpine', 'Coastal', 'Folding', 'Padded',
        'Waterproof', 'Quiet'
    ])
    || ' ' || product_noun(product_id) as name,
    case
        when is_dirty then upper(product_category(product_id)) || ' '
        else product_category(product_id)
    end as category,
    case
        when not is_dirty
        then pick('brand', product_id, [
            'Northway', 'Calima', 'Fernweh', 'Tramontana', 'Kestrel', 'Wanderly', 'Oru', 'Baltic'
        ])
    end as brand,
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
from described

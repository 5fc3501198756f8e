-- When products' rows changed in the play: stock taken and refilled, prices set anew.
with products as (
    select product_id
    from range(1, product_count() + 1) as numbers(product_id)
),

touched as (
    select
        product_id,
        number,
        touch_time('product', product_id, number, setting.product_touch_seconds()) as happened_at
    from products
    cross join range(
        (epoch(play.since()) / setting.product_touch_seconds())::bigint - 2,
        (epoch(play.until()) / setting.product_touch_seconds())::bigint + 1
    ) as numbers(number)
    where
        happened_at > play.since()
        and happened_at <= play.until()
        and (happened_at > play.full_from() or is_thinned_touch(product_id, number))
)

select
    product_id,
    happened_at,
    'UPDATE' as operation,
    last_product_change(product_id, happened_at - interval 1 millisecond) as before_at
from touched
union all
select
    product_id,
    last_product_change(product_id, play.start()) as happened_at,
    'SNAPSHOT' as operation,
    null as before_at
from products
where play.since() = play.start()

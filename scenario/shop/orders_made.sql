-- Every order that something of the play can come of, with the times of all that will become of it.
with made as (
    select
        visit_id as order_id,
        visit_id,
        user_id,
        app_type,
        is_fraud,
        home_rank,
        step_time(app_type, visit_id, started_at, steps - 2) as created_at,
        step_time(app_type, visit_id, started_at, steps - 1) as pay_at
    from visits
    where outcome = 'order'
),

priced as (
    select
        made.*,
        cities.currency,
        cities.country,
        cities.minor_units,
        items.total_amount
    from made
    inner join cities on made.home_rank = cities.city_rank
    inner join (
        select order_id, sum(quantity * unit_price)::bigint as total_amount
        from order_items_made
        group by order_id
    ) as items using (order_id)
),

paid as (
    select
        *,
        chance('declined', visit_id)
            < case when is_fraud then 0.5 else setting.declined_share() end as is_declined,
        chance('tries again', visit_id) < 0.7 as tries_again
    from priced
),

settled as (
    select
        *,
        case
            when not is_declined then settled_time(visit_id, pay_at)
            when tries_again then settled_time(visit_id, later(pay_at, 41))
        end as settled_at,
        chance('order ends', visit_id) as ending
    from paid
),

shipped as (
    select
        *,
        later(settled_at, 0.6) as paid_at,
        case
            when settled_at is null
                then later(created_at, 3600 * (1 + 23 * chance('order given up', visit_id)))
            when ending < 0.03 or is_fraud
                then later(settled_at, 3600 * (1 + 4 * chance('order cancelled', visit_id)))
        end as cancelled_at,
        case
            when ending >= 0.03 and not is_fraud
            then later(settled_at, 3600 * (6 + 40 * chance('order shipped', visit_id)))
        end as shipped_at
    from settled
),

delivered as (
    select
        *,
        later(shipped_at, 86400 * (1 + 5 * chance('order delivered', visit_id))) as delivered_at
    from shipped
)

select
    *,
    case
        when ending > 1 - setting.returned_share()
        then later(delivered_at, 86400 * (2 + 14 * chance('order returned', visit_id)))
    end as returned_at
from delivered

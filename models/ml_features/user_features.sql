{# Recency depends on the clock, so the features are computed whole each day, not incrementally. #}

with clock as (
    select {{ as_of() }} as features_at
),

users as (
    select users.*, clock.features_at
    from {{ ref('stg_users') }} as users
    cross join clock
    where not users.is_deleted
        and users.created_at <= clock.features_at
),

orders as (
    select orders.*, clock.features_at
    from {{ ref('orders_enriched') }} as orders
    cross join clock
    where orders.created_at <= clock.features_at
),

bookings as (
    select bookings.*, clock.features_at
    from {{ ref('fct_bookings') }} as bookings
    cross join clock
    where bookings.created_at <= clock.features_at
),

payments as (
    select payments.*
    from {{ ref('fct_payments') }} as payments
    cross join clock
    where payments.user_id is not null
        and payments.created_at <= clock.features_at
),

items as (
    select items.*, orders.user_id, products.category
    from {{ ref('stg_order_items') }} as items
    inner join orders on items.order_id = orders.order_id
    left join {{ ref('stg_products') }} as products on items.product_id = products.product_id
    where not items.is_deleted
        and orders.status <> 'cancelled'
),

order_features as (
    select
        user_id,
        cast(sum(case when status <> 'cancelled' then 1 else 0 end) as bigint) as order_count,
        cast(
            sum(
                case
                    when status <> 'cancelled'
                        and created_at > {{ dbt.dateadd('day', -30, 'features_at') }} then 1
                    else 0
                end
            ) as bigint
        ) as order_count_30d,
        cast(sum(case when status in ('cancelled', 'returned') then 1 else 0 end) as bigint)
            as undone_order_count,
        max(created_at) as last_order_at,
        max(loaded_at) as loaded_at
    from orders
    group by user_id
),

booking_features as (
    select
        user_id,
        cast(sum(case when status <> 'cancelled' then 1 else 0 end) as bigint) as booking_count,
        cast(sum(case when status = 'cancelled' then 1 else 0 end) as bigint) as cancelled_booking_count,
        cast(sum(case when status <> 'cancelled' then nights else 0 end) as bigint) as nights_booked,
        max(created_at) as last_booking_at,
        max(loaded_at) as loaded_at
    from bookings
    group by user_id
),

-- no exchange rates are kept: a buyer's money is counted in the currency that they pay in most often
payments_by_currency as (
    select
        user_id,
        currency,
        cast(count(case when is_paid then 1 end) as bigint) as paid_charges,
        cast(sum(net_cents) as bigint) as net_cents
    from payments
    group by user_id, currency
),

lifetime_values as (
    select * from payments_by_currency
    where paid_charges > 0
    qualify row_number() over (
        partition by user_id
        order by paid_charges desc, net_cents desc, currency
    ) = 1
),

payment_features as (
    select
        user_id,
        {{ safe_divide('sum(case when is_paid then 0 else 1 end)', 'count(*)') }} as unpaid_charge_share,
        cast(sum(case when refunded_cents > 0 then 1 else 0 end) as bigint) as refunded_charge_count,
        max(created_at) as last_charge_at,
        max(loaded_at) as loaded_at
    from payments
    group by user_id
),

pieces_by_category as (
    select
        user_id,
        category,
        sum(quantity) as pieces
    from items
    where category is not null
    group by user_id, category
),

favourite_categories as (
    select * from pieces_by_category
    qualify row_number() over (partition by user_id order by pieces desc, category) = 1
),

category_counts as (
    select
        user_id,
        cast(count(*) as bigint) as category_count
    from pieces_by_category
    group by user_id
),

joined as (
    select
        users.user_id,
        users.features_at,
        users.segment,
        users.country,
        users.marketing_consent,
        users.created_at,
        lifetime_values.net_cents,
        lifetime_values.currency,
        order_features.order_count,
        order_features.order_count_30d,
        order_features.undone_order_count,
        booking_features.booking_count,
        booking_features.cancelled_booking_count,
        booking_features.nights_booked,
        payment_features.unpaid_charge_share,
        payment_features.refunded_charge_count,
        favourite_categories.category as favourite_category,
        category_counts.category_count,
        -- the last time of any of the three; a missing one never counts as last
        greatest(
            coalesce(order_features.last_order_at, users.created_at),
            coalesce(booking_features.last_booking_at, users.created_at),
            coalesce(payment_features.last_charge_at, users.created_at)
        ) as last_active_at,
        greatest(
            users.loaded_at,
            coalesce(order_features.loaded_at, users.loaded_at),
            coalesce(booking_features.loaded_at, users.loaded_at),
            coalesce(payment_features.loaded_at, users.loaded_at)
        ) as loaded_at
    from users
    left join order_features on users.user_id = order_features.user_id
    left join booking_features on users.user_id = booking_features.user_id
    left join payment_features on users.user_id = payment_features.user_id
    left join lifetime_values on users.user_id = lifetime_values.user_id
    left join favourite_categories on users.user_id = favourite_categories.user_id
    left join category_counts on users.user_id = category_counts.user_id
),

final as (
    select
        -- ids
        user_id,
        features_at,

        -- who
        segment,
        country,
        marketing_consent,
        cast({{ dbt.datediff('created_at', 'features_at', 'day') }} as bigint) as tenure_days,

        -- money, in the smallest unit of the currency
        coalesce(net_cents, 0) as lifetime_value_cents,
        currency as lifetime_currency,

        -- how much and how recently
        coalesce(order_count, 0) as order_count,
        coalesce(order_count_30d, 0) as order_count_30d,
        coalesce(undone_order_count, 0) as undone_order_count,
        coalesce(booking_count, 0) as booking_count,
        coalesce(cancelled_booking_count, 0) as cancelled_booking_count,
        coalesce(nights_booked, 0) as nights_booked,
        cast({{ dbt.datediff('last_active_at', 'features_at', 'day') }} as bigint) as recency_days,

        -- how the payments went
        coalesce(unpaid_charge_share, 0) as unpaid_charge_share,
        coalesce(refunded_charge_count, 0) as refunded_charge_count,

        -- what
        favourite_category,
        coalesce(category_count, 0) as category_count,

        loaded_at
    from joined
)

select * from final

{{ config(
    materialized='incremental',
    unique_key=['user_id', 'window_start'],
    post_hook="delete from {{ this }} where orders = 0"
) }}

with touched as (
    select distinct
        user_id,
        {{ window_start('created_at', 5) }} as window_start
    from {{ ref('stg_orders') }}
    where {{ is_new('loaded_at') }}
),

orders as (
    select
        *,
        {{ window_start('created_at', 5) }} as window_start
    from {{ ref('stg_orders') }}
),

-- windows whose orders are all deleted come out with 0 orders, which the post-hook takes away
windows as (
    select
        user_id,
        window_start,

        cast(sum(case when is_deleted then 0 else 1 end) as bigint) as orders,
        cast(sum(case when not is_deleted and status = 'cancelled' then 1 else 0 end) as bigint)
            as cancelled_orders,

        -- amounts in different currencies are never added
        cast(count(distinct case when not is_deleted then currency end) as bigint) as currencies,
        cast(sum(case when is_deleted then 0 else total_amount_cents end) as bigint) as total_amount_cents,
        min(case when not is_deleted then currency end) as currency,

        min(case when not is_deleted then created_at end) as first_order_at,
        max(case when not is_deleted then created_at end) as last_order_at,
        max(loaded_at) as loaded_at
    from orders
    where {{ is_touched('user_id, window_start') }}
    group by user_id, window_start
),

final as (
    select
        user_id,
        window_start,
        orders,
        cancelled_orders,
        currencies,
        case when currencies = 1 then currency end as currency,
        case when currencies = 1 then total_amount_cents end as total_amount_cents,
        first_order_at,
        last_order_at,
        loaded_at
    from windows
)

select * from final

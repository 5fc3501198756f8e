{{ config(materialized='incremental', unique_key='payment_id') }}

with source as (
    select * from {{ source('raw', 'app_payments') }}
    where {{ is_new() }}
    {{ newest_version('id') }}
),

typed as (
    select
        -- ids
        id as payment_id,
        order_id,
        booking_id,
        nullif(trim(charge_id), '') as charge_id,

        -- strings
        lower(trim(status)) as status,

        -- money, in the smallest unit of the order's or booking's currency
        amount_cents,

        _deleted as is_deleted,

        -- timestamps (UTC)
        created_at,
        updated_at,
        _loaded_at as loaded_at
    from source
)

select * from typed
where {{ is_not_outdated('typed', 'payment_id') }}

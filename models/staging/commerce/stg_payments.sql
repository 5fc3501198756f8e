{{ config(materialized='incremental', unique_key='charge_id') }}

with source as (
    select * from {{ source('raw', 'stripe_charges') }}
    where {{ is_new() }}
    -- Stripe does not say when a charge changed: what was fetched last is newest, and within a load
    -- refunds only grow
    qualify row_number() over (
        partition by id
        order by _loaded_at desc, _batch desc, amount_refunded desc
    ) = 1
),

typed as (
    select
        -- ids
        id as charge_id,
        try_cast({{ json_text('metadata', 'order_id') }} as bigint) as order_id,
        try_cast({{ json_text('metadata', 'booking_id') }} as bigint) as booking_id,
        customer as customer_id,

        -- how it went
        status,
        (status = 'succeeded') as is_paid,
        disputed as is_disputed,
        failure_code,

        -- the card
        lower({{ json_text('payment_method_details', 'card.brand') }}) as card_brand,
        upper({{ json_text('payment_method_details', 'card.country') }}) as card_country,

        -- money; Stripe sends the currency's smallest unit (cents, whole yen), and so it stays
        upper(currency) as currency,
        amount as amount_cents,
        amount_refunded as amount_refunded_cents,

        -- timestamps (UTC)
        {{ epoch_seconds('created') }} as created_at,
        _loaded_at as loaded_at
    from source
)

select * from typed

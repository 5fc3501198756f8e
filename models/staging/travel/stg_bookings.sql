{{ config(materialized='incremental', unique_key='booking_id') }}

with source as (
    select * from {{ source('raw', 'app_bookings') }}
    where {{ is_new() }}
    {{ newest_version('id') }}
),

typed as (
    select
        -- ids
        id as booking_id,
        user_id,
        place_id,

        -- strings
        status,
        currency,

        -- the stay
        check_in as check_in_date,
        check_out as check_out_date,
        guests,

        -- money, in the currency's smallest unit
        total_amount_cents,

        _deleted as is_deleted,

        -- timestamps (UTC)
        created_at,
        updated_at,
        _loaded_at as loaded_at
    from source
)

select * from typed
where {{ is_not_outdated('typed', 'booking_id') }}

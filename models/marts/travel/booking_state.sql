{{ config(
    materialized='incremental',
    unique_key='booking_id',
    post_hook="{{ without_gone_rows('change_id') }}"
) }}

with touched as (
    {{ touched_records('bookings') }}
),

newest as (
    {{ newest_changes('bookings') }}
),

state as (
    select
        -- ids
        try_cast(record_key as bigint) as booking_id,
        try_cast({{ json_text('after_values', 'user_id') }} as bigint) as user_id,
        {{ json_text('after_values', 'place_id') }} as place_id,
        case when is_gone then 'gone' else change_id end as change_id,

        -- the booking
        {{ json_text('after_values', 'status') }} as status,
        {{ change_date('after_values', 'check_in') }} as check_in,
        {{ change_date('after_values', 'check_out') }} as check_out,
        try_cast({{ json_text('after_values', 'guests') }} as bigint) as guests,

        -- money, in the currency's smallest unit
        {{ json_text('after_values', 'currency') }} as currency,
        try_cast({{ json_text('after_values', 'total_amount_cents') }} as bigint) as total_amount_cents,

        -- timestamps (UTC)
        changed_at as updated_at,
        loaded_at
    from newest
    where try_cast(record_key as bigint) is not null
)

select * from state

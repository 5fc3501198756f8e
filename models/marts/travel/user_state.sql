{{ config(
    materialized='incremental',
    unique_key='user_id',
    post_hook="{{ without_gone_rows('change_id') }}"
) }}

with touched as (
    {{ touched_records('users') }}
),

newest as (
    {{ newest_changes('users') }}
),

state as (
    select
        -- ids
        try_cast(record_key as bigint) as user_id,
        -- a closed account is as gone as a deleted row
        case
            when is_gone or {{ json_text('after_values', 'deleted_at') }} is not null then 'gone'
            else change_id
        end as change_id,

        -- strings
        {{ json_text('after_values', 'country') }} as country,
        {{ json_text('after_values', 'city') }} as city,
        lower({{ json_text('after_values', 'segment') }}) as segment,

        -- what the person agreed to; what is not said was not agreed to
        coalesce(try_cast({{ json_text('after_values', 'marketing_consent') }} as boolean), false)
            as marketing_consent,
        coalesce(try_cast({{ json_text('after_values', 'location_consent') }} as boolean), false)
            as location_consent,

        -- timestamps (UTC)
        changed_at as updated_at,
        loaded_at
    from newest
    where try_cast(record_key as bigint) is not null
)

select * from state

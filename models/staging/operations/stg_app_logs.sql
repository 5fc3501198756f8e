{{ config(materialized='incremental', incremental_strategy='append') }}

with first_sent as (
    select * from {{ source('raw', 'app_logs') }}
    where {{ is_new() }}
    qualify row_number() over (
        partition by log_id
        order by _loaded_at, _partition, _offset
    ) = 1
),

typed as (
    select
        -- ids
        log_id,
        nullif(trace_id, '') as trace_id,

        service,
        -- services name severities in their own words
        case
            when upper(level) in ('TRACE', 'DEBUG', 'FINE', 'VERBOSE') then 'DEBUG'
            when upper(level) in ('INFO', 'INFORMATION', 'NOTICE') then 'INFO'
            when upper(level) in ('WARN', 'WARNING') then 'WARN'
            when upper(level) in ('ERROR', 'ERR', 'SEVERE') then 'ERROR'
            when upper(level) in ('FATAL', 'CRITICAL', 'CRIT', 'ALERT', 'EMERG', 'PANIC') then 'FATAL'
            else 'OTHER'
        end as level,
        message,
        attributes,

        -- times
        {{ is_time_plausible('timestamp', '_kafka_timestamp') }} as is_time_plausible,
        timestamp as logged_at,
        _kafka_timestamp as received_at,
        _loaded_at as loaded_at
    from first_sent
),

unseen as (
    select * from typed
    where {{ is_unseen('typed', ['log_id']) }}
)

select * from unseen

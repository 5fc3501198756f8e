{{ config(materialized='incremental', incremental_strategy='append') }}

-- where a change stands in its source's log, in the words of Debezium's connectors; fields that a
-- restarted connector may fill differently for the same change are not among them
{%- set log_position = [
    'connector', 'db', 'schema', 'table', 'collection', 'ts_ms', 'txId', 'lsn', 'file', 'pos', 'row',
    'ord', 'scn', 'ssn', 'change_lsn', 'commit_lsn', 'event_serial_no', 'vgtid'
] %}

with source as (
    -- a tombstone has no value and says nothing that the delete before it did not
    select * from {{ source('raw', 'cdc_changes') }}
    where {{ is_new() }} and _payload is not null
),

-- what is not in our own shape is read from the message
native as (
    select
        *,
        {{ valid_json('_payload') }} as message,
        {{ valid_json('_key') }} as message_key
    from source
    where operation is null
),

-- with a schema block, envelope and key stand one level down
unwrapped as (
    select
        *,
        case
            when {{ json_text('message', 'payload.op') }} is not null
                then {{ json_text('message', 'payload') }}
            else message
        end as envelope,
        coalesce({{ json_text('message_key', 'payload') }}, message_key) as envelope_key
    from native
),

opened as (
    select
        *,
        {{ json_text('envelope', 'op') }} as op,
        {{ json_text('envelope', 'source') }} as source_block,
        -- MongoDB's connector sends documents as text
        {{ valid_json(json_text('envelope', 'before')) }} as envelope_before,
        {{ valid_json(json_text('envelope', 'after')) }} as envelope_after,
        try_cast({{ json_text('envelope', 'ts_ms') }} as bigint) as envelope_ms,
        try_cast({{ json_text('envelope', 'source.ts_ms') }} as bigint) as source_ms
    from unwrapped
),

one_shape as (
    -- Debezium's envelopes
    select
        cast(null as varchar) as sent_id,
        coalesce({{ json_text('source_block', 'schema') }}, {{ json_text('source_block', 'db') }})
            as schema_name,
        coalesce({{ json_text('source_block', 'table') }}, {{ json_text('source_block', 'collection') }})
            as table_name,
        case op
            when 'c' then 'INSERT'
            when 'u' then 'UPDATE'
            when 'd' then 'DELETE'
            when 'r' then 'SNAPSHOT'
            when 't' then 'TRUNCATE'
            when 'm' then 'MESSAGE'
        end as operation,
        envelope_key as primary_key,
        envelope_before as before_values,
        envelope_after as after_values,
        {{ json_text('source_block', 'db') }} as source_database,
        {{ json_text('source_block', 'connector') }} as connector,
        concat(
            {%- for field in log_position %}
            coalesce({{ json_text('source_block', field) }}, ''), '|',
            {%- endfor %}
            -- a connector that names no position: when it saw the change
            case when source_ms is null then coalesce(cast(envelope_ms as varchar), '') else '' end
        ) as log_position,
        -- milliseconds that no timestamp can hold are no time
        case when source_ms between 0 and 4102444800000 then {{ epoch_millis('source_ms') }} end
            as happened_at,
        case when envelope_ms between 0 and 4102444800000 then {{ epoch_millis('envelope_ms') }} end
            as noticed_at,
        _key,
        _partition,
        _offset,
        _kafka_timestamp,
        _loaded_at
    from opened

    union all

    -- our own change events
    select
        change_id as sent_id,
        case when table_name like '%.%' then split_part(table_name, '.', 1) end as schema_name,
        case when table_name like '%.%' then split_part(table_name, '.', 2) else table_name end
            as table_name,
        upper(operation) as operation,
        {{ valid_json('primary_key') }} as primary_key,
        {{ valid_json('before_values') }} as before_values,
        {{ valid_json('after_values') }} as after_values,
        source_database,
        {{ json_text(valid_json('debezium_metadata'), 'source.connector') }} as connector,
        coalesce(cast(timestamp as varchar), '') as log_position,
        timestamp as happened_at,
        cast(null as timestamp) as noticed_at,
        _key,
        _partition,
        _offset,
        _kafka_timestamp,
        _loaded_at
    from source
    where operation is not null
),

typed as (
    select
        -- ids
        coalesce(sent_id, md5(concat(
            log_position, '|', coalesce(operation, ''), '|', coalesce(primary_key, _key, ''), '|',
            coalesce(before_values, ''), '|', coalesce(after_values, '')
        ))) as change_id,
        nullif(schema_name, '') as schema_name,
        nullif(table_name, '') as table_name,
        coalesce(
            {{ json_text('primary_key', 'id') }},
            {{ json_text('primary_key', '_id') }},
            nullif(primary_key, '{}'),
            {{ json_text('after_values', 'id') }},
            {{ json_text('before_values', 'id') }},
            _key
        ) as record_key,

        -- what changed
        operation,
        nullif(primary_key, '{}') as primary_key,
        nullif(before_values, '{}') as before_values,
        nullif(after_values, '{}') as after_values,
        source_database,
        connector,

        -- order
        _partition as kafka_partition,
        _offset as kafka_offset,

        -- times
        case
            when {{ is_time_plausible('happened_at', '_kafka_timestamp') }} then happened_at
            when {{ is_time_plausible('noticed_at', '_kafka_timestamp') }} then noticed_at
            else _kafka_timestamp
        end as changed_at,
        _kafka_timestamp as captured_at,
        _loaded_at as loaded_at
    from one_shape
),

-- schema changes, heartbeats and transaction marks change no row
changes as (
    select * from typed
    where operation is not null and (table_name is not null or operation = 'MESSAGE')
),

first_sent as (
    select * from changes
    qualify row_number() over (
        partition by change_id
        order by loaded_at, kafka_partition, kafka_offset
    ) = 1
),

unseen as (
    select * from first_sent
    where {{ is_unseen('first_sent', ['change_id']) }}
)

select * from unseen

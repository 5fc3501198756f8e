{{ config(materialized='incremental', incremental_strategy='append') }}

-- where a change stands in its source's log, in the words of Debezium's connectors; fields that a
-- restarted connector may fill differently for the same change are not among them
{%- set log_fields = [
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
        {{ valid_json('_payload') }} as message,
        {{ valid_json('_key') }} as message_key,
        _key,
        _partition,
        _offset,
        _kafka_timestamp,
        _loaded_at
    from source
    where operation is null
),

-- with a schema block, envelope and key stand one level down
unwrapped as (
    select
        *,
        case
            when coalesce(
                {{ json_text('message', 'op') }},
                {{ json_text('message', '__op') }},
                {{ json_text('message', '__deleted') }}
            ) is null and {{ json_text('message', 'payload') }} is not null
                then {{ json_text('message', 'payload') }}
            else message
        end as envelope,
        coalesce({{ json_text('message_key', 'payload') }}, message_key) as envelope_key
    from native
),

shaped as (
    select
        *,
        case
            when {{ json_text('envelope', 'op') }} is not null
                and {{ json_text('envelope', 'source') }} is not null then 'envelope'
            -- a CloudEvent whose data is JSON
            when {{ json_text('envelope', 'iodebeziumop') }} is not null
                and {{ valid_json(json_text('envelope', 'data')) }} is not null then 'cloud'
            when {{ json_text('envelope', '__op') }} is not null
                or {{ json_text('envelope', '__deleted') }} is not null then 'flat'
        end as shape
    from unwrapped
),

opened as (
    select
        *,
        case shape
            when 'envelope' then {{ json_text('envelope', 'op') }}
            when 'cloud' then {{ json_text('envelope', 'iodebeziumop') }}
            -- flattened deletes are marked; without an operation, a row is as it is now
            when 'flat' then case
                when {{ json_text('envelope', '__deleted') }} = 'true' then 'd'
                else coalesce({{ json_text('envelope', '__op') }}, 'u')
            end
        end as op,
        {{ json_text('envelope', 'source') }} as source_block,
        case shape
            when 'envelope' then {{ json_text('envelope', 'before') }}
            when 'cloud' then coalesce(
                {{ json_text('envelope', 'data.payload.before') }},
                {{ json_text('envelope', 'data.before') }}
            )
        end as said_before,
        case shape
            when 'envelope' then {{ json_text('envelope', 'after') }}
            when 'cloud' then coalesce(
                {{ json_text('envelope', 'data.payload.after') }},
                {{ json_text('envelope', 'data.after') }}
            )
            when 'flat' then case
                when coalesce({{ json_text('envelope', '__deleted') }}, '') <> 'true'
                    and coalesce({{ json_text('envelope', '__op') }}, '') <> 'd' then envelope
            end
        end as said_after,
        try_cast({{ json_text('envelope', 'ts_ms') }} as bigint) as envelope_ms
    from shaped
    where shape is not null
),

located as (
    select
        *,
        {{ said_of_source('connector') }} as connector,
        {{ said_of_source('db') }} as source_database,
        coalesce(
            {{ said_of_source('schema') }},
            nullif({{ said_of_source('db') }}, ''),
            {{ said_of_source('keyspace') }}
        ) as schema_name,
        coalesce({{ said_of_source('table') }}, {{ said_of_source('collection') }}) as table_name,
        try_cast({{ said_of_source('ts_ms') }} as bigint) as source_ms
    from opened
),

one_shape as (
    -- Debezium's: envelopes, flattened rows, CloudEvents
    select
        cast(null as varchar) as sent_id,
        schema_name,
        table_name,
        case op
            when 'c' then 'INSERT'
            when 'u' then 'UPDATE'
            when 'd' then 'DELETE'
            when 'r' then 'SNAPSHOT'
            when 't' then 'TRUNCATE'
            when 'm' then 'MESSAGE'
        end as operation,
        case connector
            when 'mongodb' then {{ plain_documents('envelope_key') }}
            else envelope_key
        end as primary_key,
        -- MongoDB's connector sends documents as text
        case connector
            when 'mongodb' then {{ plain_documents(valid_json('said_before')) }}
            else {{ valid_json('said_before') }}
        end as before_values,
        case connector
            when 'mongodb' then {{ plain_documents(valid_json('said_after')) }}
            else {{ valid_json('said_after') }}
        end as after_values,
        source_database,
        connector,
        concat(
            {%- for field in log_fields %}
            coalesce({{ said_of_source(field) }}, ''), '|',
            {%- endfor %}
            -- a connector that names no position: when it saw the change
            case when source_ms is null then coalesce(cast(envelope_ms as varchar), '') else '' end
        ) as log_entry,
        -- which of two changes the log has first, where its connector tells
        case
            when connector = 'postgresql' and {{ said_of_source('lsn') }} is not null
                then {{ sortable_number(said_of_source('lsn')) }}
            when connector in ('mysql', 'mariadb') and {{ said_of_source('file') }} is not null
                then concat(
                    {{ sortable_number("split_part(" ~ said_of_source('file') ~ ", '.', -1)") }}, '|',
                    {{ sortable_number(said_of_source('pos')) }}, '|',
                    {{ sortable_number(said_of_source('row')) }}
                )
            when connector in ('sqlserver', 'db2') and {{ said_of_source('commit_lsn') }} is not null
                then concat(
                    {{ said_of_source('commit_lsn') }}, '|',
                    coalesce({{ said_of_source('change_lsn') }}, ''), '|',
                    {{ sortable_number(said_of_source('event_serial_no')) }}
                )
            when connector = 'oracle' and {{ said_of_source('scn') }} is not null
                then concat({{ sortable_number(said_of_source('scn')) }}, '|', {{ sortable_number(said_of_source('ssn')) }})
            when connector = 'mongodb' and {{ said_of_source('ord') }} is not null
                then concat({{ sortable_number(said_of_source('ts_ms')) }}, '|', {{ sortable_number(said_of_source('ord')) }})
        end as log_position,
        concat(
            coalesce(connector, ''), '|', coalesce({{ said_of_source('name') }}, ''), '|',
            coalesce({{ said_of_source('server_id') }}, ''), '|', coalesce(source_database, '')
        ) as log_name,
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
    from located

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
        coalesce(cast(timestamp as varchar), '') as log_entry,
        cast(null as varchar) as log_position,
        cast(null as varchar) as log_name,
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
            log_entry, '|', coalesce(operation, ''), '|', coalesce(primary_key, _key, ''), '|',
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
            {{ json_text('after_values', '_id') }},
            {{ json_text('before_values', '_id') }},
            _key
        ) as record_key,

        -- what changed
        operation,
        nullif(primary_key, '{}') as primary_key,
        nullif(before_values, '{}') as before_values,
        nullif(after_values, '{}') as after_values,
        case
            when nullif(after_values, '{}') is null then 'none'
            when after_values like {{ unavailable_value() }} then 'some'
            else 'all'
        end as told,
        source_database,
        connector,

        -- order
        _partition as kafka_partition,
        _offset as kafka_offset,
        log_position,
        case when log_position is not null then log_name end as log_name,

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

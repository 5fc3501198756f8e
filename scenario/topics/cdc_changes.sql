-- Changes of the operational database's rows, as change capture publishes them. The rows that were
-- there when capture began come as native Debezium envelopes, and so do some later changes; after
-- each delete comes a tombstone.
with committed as (
    select
        *,
        hash(table_name, id, happened_at) as change_key,
        case when operation = 'SNAPSHOT' then play.start() else happened_at end as committed_at
    from row_moments
),

changes as (
    select
        moments.*,
        -- always the same for a row, so that its changes keep their order
        later(
            moments.committed_at,
            0.1
            + chance('capture', hash(moments.table_name, moments.id))
            * case when moments.operation = 'SNAPSHOT' then 300 else 0.8 end
        ) as captured_at,
        befores.row_values as before_values,
        case when moments.operation <> 'DELETE' then afters.row_values end as after_values
    from committed as moments
    left join row_versions as befores
        on moments.table_name = befores.table_name
        and moments.id = befores.id
        and moments.before_at = befores.version_at
    left join row_versions as afters
        on moments.table_name = afters.table_name
        and moments.id = afters.id
        and moments.happened_at = afters.version_at
),

keyed as (
    select
        *,
        -- tables share the topic, so the key names the table as well
        to_json({
            'id': id,
            '__dbz__physicalTableIdentifier': 'travel_booking.public.' || table_name
        })::varchar as key,
        operation = 'SNAPSHOT' or chance('is native', change_key) < setting.native_changes()
            as is_native
    from changes
),

sent as (
    select
        *,
        case
            when is_native
            then with_field(
                with_field(
                    to_json({
                        'op': case operation
                            when 'SNAPSHOT' then 'r'
                            when 'INSERT' then 'c'
                            when 'UPDATE' then 'u'
                            else 'd'
                        end,
                        'ts_ms': epoch_ms(captured_at),
                        'source': {
                            'version': '3.7.0.Final',
                            'connector': 'postgresql',
                            'name': 'travel_booking',
                            'ts_ms': epoch_ms(committed_at),
                            'snapshot': (operation = 'SNAPSHOT')::varchar,
                            'db': 'travel_booking',
                            'schema': 'public',
                            'table': table_name,
                            'txId': 700 + (epoch_ms(committed_at) // 1000) % 100000000,
                            'lsn': epoch_ms(committed_at) * 8
                        }
                    })::varchar,
                    'before',
                    before_values
                ),
                'after',
                after_values
            )
            else with_field(
                with_field(
                    to_json({
                        'change_id': uuid_of('change', change_key),
                        'table_name': 'public.' || table_name,
                        'operation': operation,
                        'primary_key': {'id': id},
                        'timestamp': iso(committed_at),
                        'source_database': 'travel_booking',
                        'debezium_metadata': {
                            'source': {
                                'connector': 'postgresql',
                                'db': 'travel_booking',
                                'schema': 'public'
                            },
                            'transaction_ts': iso(committed_at)
                        }
                    })::varchar,
                    'before_values',
                    before_values
                ),
                'after_values',
                after_values
            )
        end as message
    from keyed
)

select
    captured_at as arrived_at,
    key,
    case
        when is_native then message
        else dirtied(message, 'change', change_key, happened_at, setting.dirty_day_operations(), [
            '{"timestamp": null}',
            '{"debezium_metadata": null}'
        ])
    end as value
from sent
union all
select
    later(captured_at, 0.001) as arrived_at,
    key,
    null as value
from keyed
where operation = 'DELETE'

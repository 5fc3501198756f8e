{#- Which rows of a captured table an incremental run has to look at again, as a select of
    `record_key`: those that changed, and all that were there when the table was emptied. -#}
{% macro touched_records(table_name) -%}
    select record_key from {{ ref('stg_cdc_changes') }}
    where table_name = '{{ table_name }}'
        and record_key is not null
        and {{ is_new('loaded_at') }}
    union
    select record_key from {{ ref('stg_cdc_changes') }}
    where table_name = '{{ table_name }}'
        and record_key is not null
        and changed_at <= (
            select max(changed_at) from {{ ref('stg_cdc_changes') }}
            where table_name = '{{ table_name }}'
                and operation = 'TRUNCATE'
                and {{ is_new('loaded_at') }}
        )
{%- endmacro %}

{#- The last change of each row of a captured table, as a select: record_key, change_id, operation,
    after_values, changed_at, loaded_at, and `is_gone`: whether the row was deleted, or went when the
    table was emptied.

    In an incremental run, of the rows that the CTE `touched` names; and where the last change of one
    of them is an old one, which this model has already, it is left out, unless `also_old`. The values
    are JSON, wide and dear to read, so who is last is settled without them. -#}
{% macro newest_changes(table_name, also_old=false) -%}
    select
        newest.record_key,
        described.change_id,
        newest.operation,
        described.after_values,
        newest.is_gone,
        newest.changed_at,
        newest.loaded_at
    from (
        select
            record_key,
            operation,
            (
                operation = 'DELETE'
                or changed_at <= (
                    select coalesce(max(changed_at), cast('1900-01-01' as timestamp))
                    from {{ ref('stg_cdc_changes') }}
                    where table_name = '{{ table_name }}' and operation = 'TRUNCATE'
                )
            ) as is_gone,
            kafka_partition,
            kafka_offset,
            changed_at,
            loaded_at
        from {{ ref('stg_cdc_changes') }}
        where table_name = '{{ table_name }}'
            and operation in ('SNAPSHOT', 'INSERT', 'UPDATE', 'DELETE')
            and record_key is not null
            and {{ is_touched('record_key') }}
        qualify row_number() over (
            partition by record_key
            order by changed_at desc, kafka_partition desc, kafka_offset desc
        ) = 1
    ) as newest
    left join (
        select
            change_id,
            record_key,
            after_values,
            kafka_partition,
            kafka_offset,
            changed_at
        from {{ ref('stg_cdc_changes') }}
        where table_name = '{{ table_name }}'
            {%- if not also_old %}
            and {{ is_new('loaded_at') }}
            {%- endif %}
    ) as described
        on newest.record_key = described.record_key
        and newest.changed_at = described.changed_at
        and newest.kafka_partition = described.kafka_partition
        and newest.kafka_offset = described.kafka_offset
    where newest.is_gone or described.record_key is not null
{%- endmacro %}

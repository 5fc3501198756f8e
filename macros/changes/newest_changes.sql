{#- The last change of each row of a captured table: a select over stg_cdc_changes, deletes included.
    `record_keys` is a select of the record_key values to look at, all of them unless given. What
    happened before the table was last emptied counts no more. -#}
{% macro newest_changes(table_name, record_keys=none) -%}
    select *
    from {{ ref('stg_cdc_changes') }}
    where table_name = '{{ table_name }}'
        and operation in ('SNAPSHOT', 'INSERT', 'UPDATE', 'DELETE')
        and record_key is not null
        and changed_at > {{ emptied_at(table_name) }}
        {%- if record_keys %}
        and record_key in ({{ record_keys }})
        {%- endif %}
    qualify row_number() over (
        partition by record_key
        order by changed_at desc, kafka_partition desc, kafka_offset desc
    ) = 1
{%- endmacro %}

{#- When a captured table was last emptied (truncated) as a whole; long ago where it never was. -#}
{% macro emptied_at(table_name) -%}
    (
        select coalesce(max(changed_at), cast('1900-01-01' as timestamp))
        from {{ ref('stg_cdc_changes') }}
        where table_name = '{{ table_name }}' and operation = 'TRUNCATE'
    )
{%- endmacro %}

{#- A post-hook that takes rows out of an incremental model whose last change is a delete, or which
    went when their table was emptied; see leave_out_deleted. `changed_at` is the model's column
    with the time of the change that a row stands for. -#}
{% macro leave_out_deleted_records(key, table_name, changed_at='updated_at') -%}
    delete from {{ this }}
    where {{ changed_at }} <= {{ emptied_at(table_name) }}
        or {{ key }} in (
            select try_cast(record_key as bigint)
            from (
                {{ newest_changes(
                    table_name,
                    "select record_key from " ~ ref('stg_cdc_changes') ~ " where table_name = '"
                        ~ table_name ~ "' and operation = 'DELETE'"
                ) }}
            ) as newest
            where operation = 'DELETE'
        )
{%- endmacro %}

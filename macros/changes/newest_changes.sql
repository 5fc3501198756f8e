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

{#- The last change of each row of a captured table, as a select: the columns of stg_cdc_changes and
    `is_gone`, whether it was deleted, or went when the table was emptied. In an incremental run,
    of the rows that the CTE `touched` names. -#}
{% macro newest_changes(table_name) -%}
    select
        *,
        (
            operation = 'DELETE'
            or changed_at <= (
                select coalesce(max(changed_at), cast('1900-01-01' as timestamp))
                from {{ ref('stg_cdc_changes') }}
                where table_name = '{{ table_name }}' and operation = 'TRUNCATE'
            )
        ) as is_gone
    from {{ ref('stg_cdc_changes') }}
    where table_name = '{{ table_name }}'
        and operation in ('SNAPSHOT', 'INSERT', 'UPDATE', 'DELETE')
        and record_key is not null
        and {{ is_touched('record_key') }}
    qualify row_number() over (
        partition by record_key
        order by changed_at desc, kafka_partition desc, kafka_offset desc
    ) = 1
{%- endmacro %}

{#- Which rows of a captured table an incremental run has to look at again, as a select of
    `record_key`: those that changed, and all there are when the table was emptied. -#}
{% macro touched_records(table_name) -%}
    select record_key from {{ ref('stg_cdc_changes') }}
    where table_name = '{{ table_name }}'
        and record_key is not null
        and {{ is_new('loaded_at') }}
    union
    select record_key from {{ ref('stg_cdc_changes') }}
    where table_name = '{{ table_name }}'
        and record_key is not null
        and exists (
            select 1 from {{ ref('stg_cdc_changes') }} as emptied
            where emptied.table_name = '{{ table_name }}'
                and emptied.operation = 'TRUNCATE'
                and {{ is_new('emptied.loaded_at') }}
        )
{%- endmacro %}

{#- The last change of each row of a captured table, as a select: record_key, change_id, operation,
    after_values, changed_at, loaded_at, and `is_gone`: whether the row was deleted, or went when the
    table was emptied.

    Which change is the last is told by their source's log where the connector says where in it they
    stand, for its clock may be set back, a snapshot's rows carry the time at which they were read
    (later, perhaps, than a change made meanwhile), and a transaction can empty a table and fill it
    in one moment. Changes of different logs, and those without a place in one, are told apart by
    their time; a place in a log counts as no earlier than those before it in the same log.

    Values that the log did not hold (see `unavailable_value`) are what they were before: under the
    row's key, or under the keys that it had before.

    In an incremental run, of the rows that the CTE `touched` names; and where the last change of one
    of them is an old one, which this model has already, it is left out, unless `also_old`. The values
    are JSON, wide and dear to read, so who is last is settled without them. -#}
{% macro newest_changes(table_name, also_old=false) -%}
    {%- set later_first = "log_position desc, kafka_partition desc, kafka_offset desc" -%}
    with recursive settled as (
        select
            record_key,
            operation,
            coalesce(told, 'all') as told,
            log_name,
            coalesce(log_position, '') as log_position,
            kafka_partition,
            kafka_offset,
            changed_at,
            case
                when log_position is null then changed_at
                else max(changed_at) over (
                    partition by record_key, log_name
                    order by log_position, kafka_partition, kafka_offset
                    rows between unbounded preceding and current row
                )
            end as settled_at,
            loaded_at
        from {{ ref('stg_cdc_changes') }}
        where table_name = '{{ table_name }}'
            and operation in ('SNAPSHOT', 'INSERT', 'UPDATE', 'DELETE')
            -- an update that tells nothing of the row leaves it as it was
            and (operation <> 'UPDATE' or coalesce(told, 'all') <> 'none')
            and record_key is not null
            and {{ is_touched('record_key') }}
    ),

    newest as (
        select * from settled
        qualify row_number() over (
            partition by record_key
            order by settled_at desc, {{ later_first }}
        ) = 1
    ),

    emptied as (
        select
            log_name,
            max(log_position) as last_position,
            max(changed_at) as last_at
        from {{ ref('stg_cdc_changes') }}
        where table_name = '{{ table_name }}' and operation = 'TRUNCATE'
        group by log_name
    ),

    emptied_last as (
        select * from emptied
        qualify row_number() over (order by last_at desc, log_name) = 1
    ),

    alive as (
        select
            newest.*,
            (
                newest.operation = 'DELETE'
                or coalesce(by_place.last_position > newest.log_position, false)
                or coalesce(
                    newest.changed_at <= emptied_last.last_at
                    and coalesce(newest.log_name <> emptied_last.log_name, true),
                    false
                )
            ) as is_gone
        from newest
        left join emptied as by_place on newest.log_name = by_place.log_name
        left join emptied_last on 1 = 1
    ),

    described as (
        select
            alive.*,
            told_all.change_id,
            told_all.after_values
        from alive
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
                and ({{ is_new('loaded_at') }} or told = 'some')
                {%- endif %}
        ) as told_all
            on alive.record_key = told_all.record_key
            and alive.changed_at = told_all.changed_at
            and alive.kafka_partition = told_all.kafka_partition
            and alive.kafka_offset = told_all.kafka_offset
        where alive.is_gone or told_all.record_key is not null
    ),

    -- where a row's last change does not tell all, what did: from the log's place on down
    partly_told as (
        select
            record_key,
            log_position,
            after_values
        from described
        where told = 'some' and not is_gone
    ),

    -- a new key comes as the old one's deletion and an insert, at one place in the log
    renamed as (
        select
            inserted.record_key,
            deleted.record_key as former_key,
            inserted.log_position
        from {{ ref('stg_cdc_changes') }} as inserted
        inner join {{ ref('stg_cdc_changes') }} as deleted
            on inserted.log_name = deleted.log_name
            and inserted.log_position = deleted.log_position
        where inserted.table_name = '{{ table_name }}'
            and inserted.operation = 'INSERT'
            and inserted.told = 'some'
            and deleted.table_name = '{{ table_name }}'
            and deleted.operation = 'DELETE'
    ),

    -- the keys that a row had, and before which place in the log
    searched (record_key, former_key, before_position) as (
        select
            record_key,
            record_key as former_key,
            -- the place itself included
            log_position || '~' as before_position
        from partly_told

        union all

        select
            searched.record_key,
            renamed.former_key,
            renamed.log_position as before_position
        from searched
        inner join renamed
            on searched.former_key = renamed.record_key
            and renamed.log_position < searched.before_position
    ),

    formerly as (
        select
            searched.record_key,
            former.after_values,
            former.changed_at,
            former.log_position,
            former.kafka_partition,
            former.kafka_offset
        from searched
        inner join {{ ref('stg_cdc_changes') }} as former
            on searched.former_key = former.record_key
        where former.table_name = '{{ table_name }}'
            and former.operation in ('SNAPSHOT', 'INSERT', 'UPDATE')
            and coalesce(former.log_position, '') < searched.before_position
    ),

    last_told as (
        select record_key, field, item
        from {{ json_fields('formerly', 'after_values') }} as fields
        where item not like {{ unavailable_value() }}
        qualify row_number() over (
            partition by record_key, field
            order by
                coalesce(log_position, '') desc, changed_at desc,
                kafka_partition desc, kafka_offset desc
        ) = 1
    ),

    completed as (
        select
            fields.record_key,
            {{ json_object_of('fields.field', "coalesce(last_told.item, 'null')") }} as after_values
        from {{ json_fields('partly_told', 'after_values') }} as fields
        left join last_told
            on fields.record_key = last_told.record_key
            and fields.field = last_told.field
        group by fields.record_key
    )

    select
        described.record_key,
        described.change_id,
        described.operation,
        coalesce(completed.after_values, described.after_values) as after_values,
        described.is_gone,
        described.changed_at,
        described.loaded_at
    from described
    left join completed on described.record_key = completed.record_key
{%- endmacro %}

{#- One station of an entity's way through the systems, by day: how many rows are there, how many of
    them belong into the next system, and the same of a control total, where there is one. The four
    are SQL aggregates. In an incremental run only days that newly loaded rows of the entity touch
    (`touched`). An entity's way begins where `came_from` is none and ends where `goes_to` is. -#}
{% macro reconciled_station(
    entity, came_from, system, goes_to, relation, day, row_count='count(*)', passing_rows='count(*)',
    total='null', passing_total=none, loaded_at='loaded_at', is_date=false
) -%}
    select
        cast('{{ entity }}' as varchar) as entity,
        cast({{ station_name(came_from) }} as varchar) as came_from,
        cast({{ station_name(system) }} as varchar) as system,
        cast({{ station_name(goes_to) }} as varchar) as goes_to,
        {{ utc_day(day) }} as data_day,
        cast({{ row_count }} as bigint) as row_count,
        cast({{ passing_rows }} as bigint) as passing_rows,
        cast({{ total }} as bigint) as total,
        cast({{ passing_total or total }} as bigint) as passing_total,
        max({{ loaded_at }}) as loaded_at
    from {{ relation }}
    {%- if is_incremental() %}
    where {{ day }} >= (
            select cast(min(data_day) as {{ 'date' if is_date else 'timestamp' }})
            from touched where entity = '{{ entity }}'
        )
        and {{ utc_day(day) }} in (select data_day from touched where entity = '{{ entity }}')
    {%- endif %}
    group by {{ utc_day(day) }}
{%- endmacro %}


{% macro station_name(name) -%}
    {{ "'" ~ name ~ "'" if name else 'null' }}
{%- endmacro %}


{#- A raw table's rows with `version`: 1 for the newest of each key. -#}
{% macro versions_of(relation, key, newest_first) -%}
    (
        select
            *,
            row_number() over (partition by {{ key }} order by {{ newest_first }}) as version
        from {{ relation }}
    ) as versions
{%- endmacro %}


{#- Whether a row was loaded on a day on which newer rows were loaded too, or after it; true for every
    row in a full build. -#}
{% macro is_on_new_load_day(column) -%}
    {%- if is_incremental() -%}
        {{ column }} >= (
            select cast({{ utc_day('min(loaded_at)') }} as timestamp)
            from {{ source('raw', 'load_history') }}
            where {{ is_new('loaded_at') }}
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

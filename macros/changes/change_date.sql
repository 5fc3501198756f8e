{#- A date out of a change's values (JSON text): written as a date or timestamp, or, as Debezium
    writes PostgreSQL's, as days since 1970-01-01. -#}
{% macro change_date(column, path) -%}
    {%- set days = 'try_cast(' ~ json_text(column, path) ~ ' as integer)' -%}
    coalesce(
        try_cast({{ json_text(column, path) }} as date),
        cast({{ dbt.dateadd('day', days, "cast('1970-01-01' as date)") }} as date)
    )
{%- endmacro %}

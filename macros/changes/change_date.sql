{#- A date out of a change's values (JSON text): written as a date or timestamp, or, as Debezium
    writes PostgreSQL's, as days since 1970-01-01. What no calendar has (PostgreSQL's infinity, in
    words or as the largest number of days) is null. -#}
{% macro change_date(column, path) -%}
    {%- set days -%}
        case
            when try_cast({{ json_text(column, path) }} as integer) between -719162 and 2932896
                then try_cast({{ json_text(column, path) }} as integer)
        end
    {%- endset -%}
    coalesce(
        case
            when try_cast({{ json_text(column, path) }} as date)
                between cast('0001-01-01' as date) and cast('9999-12-31' as date)
                then try_cast({{ json_text(column, path) }} as date)
        end,
        cast({{ dbt.dateadd('day', days, "cast('1970-01-01' as date)") }} as date)
    )
{%- endmacro %}

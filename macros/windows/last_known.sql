{#- The newest value of a column that is not null, up to and including the row at hand. `partition`
    and `order` are lists of columns as text. -#}
{% macro last_known(column, partition, order) -%}
    {{ return(adapter.dispatch('last_known')(column, partition, order)) }}
{%- endmacro %}

{% macro duckdb__last_known(column, partition, order) -%}
    last_value({{ column }} ignore nulls) over (
        partition by {{ partition }} order by {{ order }}
        rows between unbounded preceding and current row
    )
{%- endmacro %}

{% macro snowflake__last_known(column, partition, order) -%}
    last_value({{ column }}) ignore nulls over (
        partition by {{ partition }} order by {{ order }}
        rows between unbounded preceding and current row
    )
{%- endmacro %}

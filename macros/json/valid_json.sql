{#- The column where it holds JSON text, null where it holds something else. -#}
{% macro valid_json(column) -%}
    {{ return(adapter.dispatch('valid_json')(column)) }}
{%- endmacro %}

{% macro duckdb__valid_json(column) -%}
    case when json_valid({{ column }}) then {{ column }} end
{%- endmacro %}

{% macro snowflake__valid_json(column) -%}
    case when try_parse_json({{ column }}) is not null then {{ column }} end
{%- endmacro %}

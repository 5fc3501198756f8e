{#- Whether the whole text matches a regular expression; null for null. -#}
{% macro matches_pattern(column, pattern) -%}
    {{ return(adapter.dispatch('matches_pattern')(column, pattern)) }}
{%- endmacro %}

{% macro duckdb__matches_pattern(column, pattern) -%}
    regexp_full_match({{ column }}, '{{ pattern | replace("'", "''") }}')
{%- endmacro %}

{% macro snowflake__matches_pattern(column, pattern) -%}
    {#- raw text: Snowflake reads backslashes in quotes as escapes -#}
    regexp_like({{ column }}, $${{ pattern }}$$)
{%- endmacro %}

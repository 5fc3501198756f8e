{#- Whether the whole text matches a regular expression; null for null. -#}
{% macro matches_pattern(column, pattern) -%}
    {{ return(adapter.dispatch('matches_pattern')(column, pattern)) }}
{%- endmacro %}

{% macro duckdb__matches_pattern(column, pattern) -%}
    regexp_full_match({{ column }}, '{{ pattern | replace("'", "''") }}')
{%- endmacro %}

{% macro snowflake__matches_pattern(column, pattern) -%}
    {#- Snowflake reads backslashes in quotes as escapes; raw text, $$...$$, cannot end in a $ -#}
    regexp_like({{ column }}, '{{ pattern | replace("\\", "\\\\") | replace("'", "''") }}')
{%- endmacro %}

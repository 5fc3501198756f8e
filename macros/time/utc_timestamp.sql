{#- A timestamp from ISO 8601 text; an offset is applied, so the answer is UTC. Null where the text is
    no timestamp. -#}
{% macro utc_timestamp(text) -%}
    {{ return(adapter.dispatch('utc_timestamp')(text)) }}
{%- endmacro %}

{% macro duckdb__utc_timestamp(text) -%}
    cast(try_cast({{ text }} as timestamptz) as timestamp)  {#- the session's zone is UTC -#}
{%- endmacro %}

{% macro snowflake__utc_timestamp(text) -%}
    cast(convert_timezone('UTC', try_cast({{ text }} as timestamp_tz)) as timestamp)
{%- endmacro %}

{#- Seconds since 1970-01-01 UTC as a timestamp (UTC, no zone). -#}
{% macro epoch_seconds(column) -%}
    {{ return(adapter.dispatch('epoch_seconds')(column)) }}
{%- endmacro %}

{% macro duckdb__epoch_seconds(column) -%}
    make_timestamp(cast({{ column }} as bigint) * 1000000)
{%- endmacro %}

{% macro snowflake__epoch_seconds(column) -%}
    to_timestamp_ntz(cast({{ column }} as bigint), 0)
{%- endmacro %}

{#- Milliseconds since 1970-01-01 UTC as a timestamp (UTC, no zone). -#}
{% macro epoch_millis(column) -%}
    {{ return(adapter.dispatch('epoch_millis')(column)) }}
{%- endmacro %}

{% macro duckdb__epoch_millis(column) -%}
    make_timestamp(cast({{ column }} as bigint) * 1000)
{%- endmacro %}

{% macro snowflake__epoch_millis(column) -%}
    to_timestamp_ntz(cast({{ column }} as bigint), 3)
{%- endmacro %}

{#- Start of the tumbling window of `minutes` that a timestamp falls into; windows are aligned to the
    UTC day (so `minutes` divides a day), start inclusive, end exclusive. -#}
{% macro window_start(column, minutes) -%}
    {{ return(adapter.dispatch('window_start')(column, minutes)) }}
{%- endmacro %}

{% macro duckdb__window_start(column, minutes) -%}
    time_bucket(interval '{{ minutes }} minutes', {{ column }})
{%- endmacro %}

{% macro snowflake__window_start(column, minutes) -%}
    time_slice({{ column }}, {{ minutes }}, 'minute')
{%- endmacro %}

{#- The UTC day of a timestamp, as a date. -#}
{% macro utc_day(column) -%}
    cast({{ column }} as date)
{%- endmacro %}

{#- The start of the hour of a timestamp. -#}
{% macro utc_hour(column) -%}
    cast(date_trunc('hour', {{ column }}) as timestamp)
{%- endmacro %}

{#- Milliseconds from one timestamp to another, as a bigint. -#}
{% macro millis_between(earlier, later) -%}
    {{ return(adapter.dispatch('millis_between')(earlier, later)) }}
{%- endmacro %}

{% macro duckdb__millis_between(earlier, later) -%}
    cast(epoch_ms({{ later }}) - epoch_ms({{ earlier }}) as bigint)
{%- endmacro %}

{% macro snowflake__millis_between(earlier, later) -%}
    cast(datediff('millisecond', {{ earlier }}, {{ later }}) as bigint)
{%- endmacro %}

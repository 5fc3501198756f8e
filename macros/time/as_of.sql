{#- The time that models and freshness take for now (UTC): what `raw.clock` says where history or a
    simulated period is played, the warehouse's own clock otherwise. -#}
{% macro as_of() -%}
    (select coalesce(max(as_of), {{ utc_now() }}) from {{ source('raw', 'clock') }})
{%- endmacro %}

{#- The warehouse's own clock, as a timestamp without zone in UTC. -#}
{% macro utc_now() -%}
    {{ return(adapter.dispatch('utc_now')()) }}
{%- endmacro %}

{% macro default__utc_now() -%}
    cast(current_timestamp as timestamp)
{%- endmacro %}

{% macro duckdb__utc_now() -%}
    cast(current_timestamp as timestamp)  {#- the session's zone is UTC: profiles.yml -#}
{%- endmacro %}

{% macro snowflake__utc_now() -%}
    cast(convert_timezone('UTC', current_timestamp()) as timestamp_ntz)
{%- endmacro %}

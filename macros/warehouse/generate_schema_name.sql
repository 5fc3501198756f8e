{#- A model's schema is the one its folder names, on every target; dbt's default would put the
    target's own schema in front. In a Snowflake database that several people or pull requests build
    in, WAYPOINT_SCHEMA_PREFIX stands before it. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set prefix = env_var('WAYPOINT_SCHEMA_PREFIX', '') if target.type != 'duckdb' else '' -%}
    {{ prefix }}{{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}

{#- A model's schema is the one its folder names, on every target; dbt's default would put the
    target's own schema in front. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}

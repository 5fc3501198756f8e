{#- The pattern of values in which a connector could not tell a column that did not change: where
    PostgreSQL keeps a large value apart (TOAST) and the table's replica identity is not FULL, the log
    does not hold it, and Debezium writes this in its place. -#}
{% macro unavailable_value() -%}
    '%__debezium_unavailable_value%'
{%- endmacro %}

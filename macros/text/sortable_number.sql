{#- A whole number that is written as text, as text that sorts like the number: filled up with zeros
    to 24 digits; nothing sorts first. -#}
{% macro sortable_number(text) -%}
    lpad(coalesce({{ text }}, ''), 24, '0')
{%- endmacro %}

{#- The number of rows whose size is the logarithm ln(rows + 1); never below none. -#}
{% macro rows_of_size(size) -%}
    case when {{ size }} > 0 then exp({{ size }}) - 1 when {{ size }} <= 0 then 0 end
{%- endmacro %}

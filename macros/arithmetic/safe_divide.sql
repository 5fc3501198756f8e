{#- numerator / denominator as a double; null where the denominator is 0 or null. For rates and
    means, never for money. -#}
{% macro safe_divide(numerator, denominator) -%}
    cast({{ numerator }} as double) / nullif(cast({{ denominator }} as double), 0)
{%- endmacro %}

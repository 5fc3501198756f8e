{#- A select of the whole numbers from `first` to `last`, both included, as `number`. -#}
{% macro numbers(first, last) -%}
    {%- for number in range(first, last + 1) %}
    select {{ number }} as number
    {{- ' union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

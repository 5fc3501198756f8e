{#- The whole numbers from 0 to `limit` - 1 (at most 99) as a relation with a column `n`. -#}
{% macro numbers_below(limit) -%}
    {%- set digits %}
        {%- for digit in range(10) %}select {{ digit }} as digit{{ ' union all ' if not loop.last }}{% endfor %}
    {%- endset -%}
    select tens.digit * 10 + ones.digit as n
    from ({{ digits }}) as tens
    cross join ({{ digits }}) as ones
    where tens.digit * 10 + ones.digit < {{ limit }}
{%- endmacro %}

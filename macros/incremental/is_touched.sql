{#- Whether a row belongs to the keys, windows or days that an incremental run computes anew; true
    for every row in a full build. `touched` is a relation with the columns of `keys`, or with
    `touched_keys` where they are called otherwise there.

    Models read their inputs anew for `touched` and for the rows to compute: a CTE that is read
    twice would be held in memory whole, history and all. -#}
{% macro is_touched(keys, touched='touched', touched_keys=none) -%}
    {%- if is_incremental() -%}
        ({{ keys }}) in (select {{ touched_keys or keys }} from {{ touched }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#- Whether a timestamp falls on a UTC day that an incremental run computes anew; true for every row
    in a full build. `touched` is a relation with a column `day`. The lower bound says nothing new; it
    lets the warehouse skip the history before. -#}
{% macro is_on_touched_day(column, touched='touched') -%}
    {%- if is_incremental() -%}
        {{ column }} >= (select cast(min(day) as timestamp) from {{ touched }})
        and {{ utc_day(column) }} in (select day from {{ touched }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

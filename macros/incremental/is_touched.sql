{#- Whether a row belongs to the keys, windows or days that an incremental run computes anew; true
    for every row in a full build. `touched` is a relation with the columns of `keys`. -#}
{% macro is_touched(keys, touched='touched', touched_keys=none) -%}
    {%- if is_incremental() -%}
        ({{ keys }}) in (select {{ touched_keys or keys }} from {{ touched }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

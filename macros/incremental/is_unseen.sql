{#- Whether no row of this incremental model has the key of the row at hand; true for every row in a
    full build. Events are appended under this predicate: what came first stays, and a copy that
    comes later, in whichever load, adds nothing. `relation` is the name of the row's CTE. -#}
{% macro is_unseen(relation, key) -%}
    {%- if is_incremental() -%}
        not exists (
            select 1 from {{ this }} as present
            where
            {%- for column in key %}
                present.{{ column }} = {{ relation }}.{{ column }}
                {{- ' and' if not loop.last }}
            {%- endfor %}
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

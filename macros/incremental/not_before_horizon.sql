{#- Whether a row is not older than what an incremental run has to look at; true for every row in a
    full build. `horizon` is a relation of one row, `starts_at`. Null there (nothing new) lets no row
    through. A scalar subquery, because both warehouses turn it into a bound on the scan. -#}
{% macro not_before_horizon(column, horizon='horizon') -%}
    {%- if is_incremental() -%}
        {{ column }} >= (select starts_at from {{ horizon }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#- Whether a row's time window is one that newly loaded rows fall into, so that it is computed again
    from all of its rows; true for every row in a full build. The windows are tumbling windows of
    `minutes` over the time `column` of `relation`, a relation with `loaded_at`. The lower bound is
    there for the scan: it lets the warehouse skip the history before the first touched window. -#}
{% macro in_touched_window(relation, column, minutes) -%}
    {%- if is_incremental() -%}
        {{ column }} >= (
            select {{ window_start('min(' ~ column ~ ')', minutes) }}
            from {{ relation }}
            where {{ is_new('loaded_at') }}
        )
        and {{ window_start(column, minutes) }} in (
            select {{ window_start(column, minutes) }}
            from {{ relation }}
            where {{ is_new('loaded_at') }}
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

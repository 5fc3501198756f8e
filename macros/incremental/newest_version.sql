{#- Of the versions of a row that an operational table's raw rows hold, the newest: a qualify clause
    over rows with `updated_at`, `_loaded_at` and `_batch`. What the source changed last wins; the
    same version seen again (a full refresh that found the row gone) is told by its load. -#}
{% macro newest_version(key) -%}
    qualify row_number() over (
        partition by {{ key }}
        order by updated_at desc, _loaded_at desc, _batch desc
    ) = 1
{%- endmacro %}

{#- Whether the row of `candidate` may replace the row that this incremental model has for the same
    `key`, a column or a list of them: a late older version may not. True for every row in a full
    build. -#}
{% macro is_not_outdated(candidate, key, changed_at='updated_at') -%}
    {%- if is_incremental() -%}
        not exists (
            select 1
            from {{ this }} as kept
            where
            {%- for column in ([key] if key is string else key) %}
                kept.{{ column }} = {{ candidate }}.{{ column }} and
            {%- endfor %}
                kept.{{ changed_at }} > {{ candidate }}.{{ changed_at }}
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

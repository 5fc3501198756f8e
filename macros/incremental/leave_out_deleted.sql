{#- A post-hook that takes rows out of an incremental model which are gone at the source. The select
    leaves them out already, but delete+insert only ever replaces keys that the select returns.
    `staging` is a model with `key` and `is_deleted`. -#}
{% macro leave_out_deleted(key, staging) -%}
    delete from {{ this }}
    where {{ key }} in (select {{ key }} from {{ ref(staging) }} where is_deleted)
{%- endmacro %}

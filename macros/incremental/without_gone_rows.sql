{#- A post-hook that takes away the rows which the select marked as gone: 'gone' in `column`.

    delete+insert replaces only keys that the select returns, so a row that is deleted at the source
    would stay in an incremental model for ever if the select just left it out. It comes out marked
    instead, replaces the old one, and goes in the same transaction. -#}
{% macro without_gone_rows(column) -%}
    delete from {{ this }} where {{ column }} = 'gone'
{%- endmacro %}

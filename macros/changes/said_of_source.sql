{#- What a message of change capture says of its source, as text, by its `shape`: in the block
    `source` of an `envelope`, beside a `flat` row's own columns (`__lsn`, `__source_lsn`), or as an
    attribute of a `cloud` event (`iodebeziumlsn`). `field` is its name in the envelope's block. -#}
{% macro said_of_source(field) -%}
    case shape
        when 'envelope' then {{ json_text('source_block', field) }}
        when 'flat' then coalesce(
            {{ json_text('envelope', '__source_' ~ field) }},
            {{ json_text('envelope', '__' ~ field) }}
        )
        when 'cloud' then {{ json_text('envelope', 'iodebezium' ~ field | lower | replace('_', '')) }}
    end
{%- endmacro %}

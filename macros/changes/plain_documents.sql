{#- MongoDB's documents with its numbers and ids as JSON knows them: {"$numberLong": "7"} is 7,
    {"$oid": "a1"} is "a1", {"$date": 5} is 5. Decimals stay text, as their digits are exact. A text
    that only looks like one has its quotes escaped, and is left alone. The key's id is such a
    document in a text of its own: {"id":"{\"$numberLong\": \"7\"}"} is {"id":"7"}. -#}
{% macro plain_documents(column) -%}
    {{ return(adapter.dispatch('plain_documents')(column)) }}
{%- endmacro %}

{% macro duckdb__plain_documents(column) -%}
    regexp_replace(
        regexp_replace(
            regexp_replace(
                {{ column }},
                '\{\s*\\*"\$(?:numberLong|numberInt|date)\\*"\s*:\s*\\*"?(-?[0-9]+)\\*"?\s*\}', '\1', 'g'
            ),
            '\{\s*"\$(?:oid|numberDecimal|numberDouble)"\s*:\s*("[^"\\]*")\s*\}', '\1', 'g'
        ),
        '\{\s*\\"\$oid\\"\s*:\s*\\"([0-9a-f]*)\\"\s*\}', '\1', 'g'
    )
{%- endmacro %}

{% macro snowflake__plain_documents(column) -%}
    regexp_replace(
        regexp_replace(
            regexp_replace(
                {{ column }},
                $$\{\s*\\*"\$(numberLong|numberInt|date)\\*"\s*:\s*\\*"?(-?[0-9]+)\\*"?\s*\}$$, $$\2$$
            ),
            $$\{\s*"\$(oid|numberDecimal|numberDouble)"\s*:\s*("[^"\\]*")\s*\}$$, $$\2$$
        ),
        $$\{\s*\\"\$oid\\"\s*:\s*\\"([0-9a-f]*)\\"\s*\}$$, $$\1$$
    )
{%- endmacro %}

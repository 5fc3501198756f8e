{#- Statements for the end of a run that write into the model `broken_rules` what the tests of
    contracts found: for each table that was tested, the rules that are broken now. dbt keeps only
    that a test failed; which rules did, its compiled query is asked again, so a build whose tests
    all pass pays nothing for it. Runs also where the build failed, which is when it matters. -#}
{% macro record_broken_rules(results) %}
    {%- if execute and flags.WHICH in ('build', 'test') -%}
        {%- set record = broken_rules_relation() -%}
        {%- set tests = [] -%}
        {%- for result in results if result.node.resource_type == 'test'
            and (result.node.test_metadata.name if result.node.test_metadata) == 'contract_rules'
            and result.status in ('pass', 'warn', 'fail') -%}
            {%- do tests.append(result) -%}
        {%- endfor -%}
        {%- if record and tests -%}
            begin;
            {%- for result in tests %}
            {%- set table = tested_table(result.node) %}
            delete from {{ record }} where table_name = '{{ table }}';
            {%- if result.status != 'pass' %}
            insert into {{ record }} (table_name, rule, severity, violations, checked_at)
            select '{{ table }}', found.rule, found.severity, found.violations, {{ as_of() }}
            from ({{ result.node.compiled_code }}) as found;
            {%- endif %}
            {%- endfor %}
            commit;
        {%- endif -%}
    {%- endif -%}
{% endmacro %}


{#- The table that they are written into, where it has been built. -#}
{% macro broken_rules_relation() -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model'
        and node.name == 'broken_rules' and node.package_name == project_name -%}
        {{ return(load_relation(api.Relation.create(
            database=node.database, schema=node.schema, identifier=node.alias
        ))) }}
    {%- endfor -%}
{%- endmacro %}


{#- `schema.table` of what a test is about, as its contract calls it: without a schema's prefix. -#}
{% macro tested_table(test) -%}
    {%- set node = graph.nodes.get(test.attached_node) -%}
    {{ return(((node.config.schema or node.schema) ~ '.' ~ node.alias) if node else test.name) }}
{%- endmacro %}

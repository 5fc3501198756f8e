create resource monitor if not exists LENDING with credit_quota = 5 frequency = weekly start_timestamp = immediately triggers on 50 percent do notify on 80 percent do notify on 100 percent do suspend on 120 percent do suspend_immediate;
alter resource monitor LENDING set credit_quota = 5 triggers on 50 percent do notify on 80 percent do notify on 100 percent do suspend on 120 percent do suspend_immediate;
create warehouse if not exists DESK with warehouse_size = small auto_suspend = 90 auto_resume = true statement_timeout_in_seconds = 600 resource_monitor = LENDING initially_suspended = true;
alter warehouse DESK set warehouse_size = small auto_suspend = 90 auto_resume = true statement_timeout_in_seconds = 600 resource_monitor = LENDING;
create warehouse if not exists CLOCKWORK with warehouse_size = xsmall auto_suspend = 60 auto_resume = true statement_timeout_in_seconds = 3600 initially_suspended = true;
alter warehouse CLOCKWORK set warehouse_size = xsmall auto_suspend = 60 auto_resume = true statement_timeout_in_seconds = 3600;
create role if not exists LIBRARIAN comment = 'loads and builds';
grant role LIBRARIAN to role SYSADMIN;
create role if not exists READER;
grant usage on warehouse DESK to role READER;
create database if not exists LIBRARY data_retention_time_in_days = 3;
alter database LIBRARY set data_retention_time_in_days = 3;
grant usage, create schema on database LIBRARY to role LIBRARIAN;
create schema if not exists LIBRARY.MARTS;
grant all privileges on schema LIBRARY.MARTS to role LIBRARIAN;
create schema if not exists LIBRARY.RAW;
grant all privileges on schema LIBRARY.RAW to role LIBRARIAN;
create schema if not exists LIBRARY.STAGING;
grant all privileges on schema LIBRARY.STAGING to role LIBRARIAN;
create transient database if not exists LIBRARY_CI data_retention_time_in_days = 0;
alter database LIBRARY_CI set data_retention_time_in_days = 0;
create schema if not exists LIBRARY_CI.RAW clone LIBRARY.RAW;
grant usage, create schema on database LIBRARY_CI to role LIBRARIAN;
grant usage on schema LIBRARY_CI.RAW to role LIBRARIAN;
grant select on all tables in schema LIBRARY_CI.RAW to role LIBRARIAN;
use database LIBRARY;
create schema if not exists "RAW";
create stage if not exists "RAW"."LANDING";
create file format if not exists "RAW"."LANDED" type = parquet use_logical_type = true;
create table if not exists "RAW"."LENDINGS" ("SLIP" varchar, "CARD" varchar, "SHELFMARK" varchar, "LENT" timestamp_ntz, "DAYS" integer, "_PARTITION" integer, "_OFFSET" bigint, "_KAFKA_TIMESTAMP" timestamp_ntz, "_KEY" varchar, "_PAYLOAD" varchar, "_SOURCE" varchar, "_BATCH" varchar, "_LOADED_AT" timestamp_ntz);
create pipe if not exists "RAW"."LENDINGS_STREAM" as copy into "RAW"."LENDINGS" from table(data_source(type => 'STREAMING')) match_by_column_name = case_insensitive;
create table if not exists "RAW"."QUARANTINE" ("TABLE_NAME" varchar, "SOURCE" varchar, "BATCH" varchar, "FILE" varchar, "LINE" bigint, "PARTITION" integer, "MESSAGE_OFFSET" bigint, "MESSAGE_TIMESTAMP" timestamp_ntz, "MESSAGE_KEY" varchar, "FIELD" varchar, "VALUE" varchar, "RULE" varchar, "REASON" varchar, "PAYLOAD" varchar, "_LOADED_AT" timestamp_ntz);
create pipe if not exists "RAW"."QUARANTINE_STREAM" as copy into "RAW"."QUARANTINE" from table(data_source(type => 'STREAMING')) match_by_column_name = case_insensitive;
alter table if exists LIBRARY.RAW.LENDINGS cluster by (to_date("_LOADED_AT"));
alter table if exists LIBRARY.RAW.LOAD_HISTORY cluster by (to_date("LOADED_AT"));
alter table if exists LIBRARY.RAW.MEMBERS cluster by (to_date("_LOADED_AT"));
alter table if exists LIBRARY.RAW.QUARANTINE cluster by (to_date("_LOADED_AT"));
alter table if exists LIBRARY.STAGING.STG_LENDINGS cluster by (to_date("LOADED_AT"));
create schema if not exists LIBRARY.REALTIME;
create or replace dynamic table LIBRARY.REALTIME.STG_LENDINGS target_lag = downstream warehouse = CLOCKWORK refresh_mode = auto initialize = on_create as
with slips as (
    select * from LIBRARY.RAW.LENDINGS
    where true
),

members as (
    select * from LIBRARY.RAW.MEMBERS
    qualify row_number() over (partition by card order by _loaded_at desc, _line desc) = 1
),

once as (
    select * from slips
    qualify row_number() over (partition by slip order by _partition, _offset) = 1
),

stg_lendings as (
    select
        once.slip,
        once.card,
        members.name as member_name,
        once.shelfmark,
        once.lent as lent_at,
        cast(

    dateadd(
        day,
        once.days,
        once.lent
        )

 as date) as due_date,
        once._loaded_at as loaded_at
    from once
    left join members on once.card = members.card
)

select * from stg_lendings;
create or replace dynamic table LIBRARY.REALTIME.LENDINGS_BY_DAY target_lag = '2 minutes' warehouse = CLOCKWORK refresh_mode = auto initialize = on_create as
with lendings as (
    select * from LIBRARY.REALTIME.STG_LENDINGS
),

lendings_by_day as (
    select
        cast(lent_at as date) as lent_date,
        cast(count(*) as bigint) as lendings,
        cast(count(distinct card) as bigint) as members,
        max(loaded_at) as loaded_at
    from lendings
    group by cast(lent_at as date)
)

select * from lendings_by_day;

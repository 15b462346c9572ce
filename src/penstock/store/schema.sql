-- The schema of a new SQLite store, at revision 0002. The migrations lead to the same (tested).
-- Ids are 16 bytes that grow with time, times are seconds since the epoch, in UTC.

create table alembic_version (
    version_num varchar(32) not null primary key
);

create table flow (
    id blob not null primary key,
    name text not null unique,
    tags text,
    created real not null
) without rowid;

create table flow_run (
    id blob not null primary key,
    flow_id blob not null,
    name text not null,
    flow_version text,
    deployment_id blob,
    parent_task_run_id blob,
    idempotency_key text,
    entrypoint text,
    parameters text not null,
    parameters_pickle blob,
    tags text,
    run_count integer not null,
    state_type text,
    state_name text,
    state_timestamp real,
    expected_start_time real,
    next_scheduled_start_time real,
    start_time real,
    end_time real,
    run_time_s real not null,
    result_type text,
    result_data blob,
    history blob not null,
    details blob,
    owner text,
    fence integer not null default 0,
    lease_expires real,
    control text,
    beats integer not null default 0
) without rowid;

create index flow_run_by_parent on flow_run (parent_task_run_id)
    where parent_task_run_id is not null;

create unique index flow_run_by_idempotency_key on flow_run (flow_id, idempotency_key)
    where idempotency_key is not null;

-- Which runs are executed somewhere: what recovery looks through. Those that are over before their
-- process has extended a lease, most of all, are spared a second page in each of their commits.
create index flow_run_by_owner on flow_run (owner) where beats > 0;

-- Which runs wait for somebody: for their time, to be resumed, to be ended.
create index flow_run_at_rest on flow_run (state_type, next_scheduled_start_time)
    where state_type in ('SCHEDULED', 'PAUSED', 'CANCELLING');

-- Which runs name a result in storage: before one is deleted, others are asked for.
create index flow_run_by_stored_result on flow_run (result_data)
    where result_type = 'reference';

-- A task run that belongs to no flow run has sixteen zero bytes as its flow_run_id.
create table task_run (
    flow_run_id blob not null,
    id blob not null,
    task_key text not null,
    dynamic_key text not null,
    name text not null,
    state_type text,
    state_name text,
    state_timestamp real,
    run_count integer not null,
    expected_start_time real,
    next_scheduled_start_time real,
    start_time real,
    end_time real,
    run_time_s real not null,
    tags text,
    fingerprint blob,
    cache_key text,
    result_type text,
    result_data blob,
    history blob not null,
    details blob,
    primary key (flow_run_id, id)
) without rowid;

create index task_run_by_stored_result on task_run (result_data)
    where result_type = 'reference';

create table log (
    flow_run_id blob not null,
    id blob not null,
    task_run_id blob,
    name text not null,
    level integer not null,
    message text not null,
    timestamp real not null,
    primary key (flow_run_id, id)
) without rowid;

create table cache_entry (
    key text not null primary key,
    flow_run_id blob not null,
    task_run_id blob not null,
    expires real
) without rowid;

create table block_document (
    id blob not null primary key,
    type_slug text not null,
    name text not null,
    data text not null,
    created real not null,
    updated real not null,
    unique (type_slug, name)
);

-- What is sent to a flow run, by people or other runs. The value is JSON.
create table flow_run_input (
    flow_run_id blob not null,
    key text not null,
    value text not null,
    sender text,
    created real not null,
    primary key (flow_run_id, key)
) without rowid;

-- How many may do the same thing at once. The limit of a tag of tasks has `tag:` before its name.
create table concurrency_limit (
    id blob not null primary key,
    name text not null,
    slots integer not null,
    active integer not null,
    slot_decay_per_second real not null,
    decaying_slots real not null,
    decaying_since real not null,
    created real not null,
    updated real not null,
    unique (name)
);

-- Who has slots of a limit, and who waits for them: those in the order of their ids. They are
-- freed with their owner, a process, if it dies.
create table concurrency_slot (
    limit_id blob not null,
    id blob not null,
    holder text not null,
    flow_run_id blob,
    owner text not null,
    lease_expires real not null,
    slots integer not null,
    taken real,
    primary key (limit_id, id)
) without rowid;

-- What is done for the whole store from time to time: when it was last finished, and who is at it.
create table chore (
    name text not null primary key,
    finished real not null,
    owner text,
    lease_expires real
) without rowid;

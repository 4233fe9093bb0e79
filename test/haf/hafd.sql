-- Schema hafd: the tables that hafstack reads, under HAF's names and with HAF's types.  The schema itself is made by
-- CREATE EXTENSION.  HAF has many more tables and columns; these are enough to be as awkward as it is.
CREATE DOMAIN hafd.context_name AS text NOT NULL CONSTRAINT non_empty_context CHECK (length(value) <> 0);
CREATE DOMAIN hafd.stage_name AS text CHECK (value ~ '^[A-Za-z0-9_]+$');
CREATE DOMAIN hafd.blocks_count AS integer CHECK (value > 0);
CREATE DOMAIN hafd.blocks_distance AS integer CHECK (value >= 0);
CREATE DOMAIN hafd.interest_rate AS int4 NOT NULL;
CREATE DOMAIN hafd.hive_amount AS numeric NOT NULL;
CREATE DOMAIN hafd.vest_amount AS numeric NOT NULL;
CREATE DOMAIN hafd.hbd_amount AS numeric NOT NULL;

CREATE TYPE hafd.sync_state AS ENUM ('START', 'WAIT', 'REINDEX_WAIT', 'REINDEX', 'P2P', 'LIVE');
CREATE TYPE hafd.index_status AS ENUM ('missing', 'creating', 'created', 'invalid');
CREATE TYPE hafd.event_type AS ENUM ('BACK_FROM_FORK', 'NEW_BLOCK', 'NEW_IRREVERSIBLE', 'MASSIVE_SYNC');
CREATE TYPE hafd.application_stage AS (
    name hafd.stage_name,
    min_head_block_distance hafd.blocks_distance,
    blocks_limit_in_group hafd.blocks_count,
    processing_alarm_threshold interval
);
CREATE DOMAIN hafd.application_stages AS hafd.application_stage[];
CREATE TYPE hafd.application_loop_state AS (
    last_analyze_distance_to_head_block integer,
    current_stage hafd.application_stage,
    end_block_range integer,
    size_of_blocks_batch integer,
    current_batch_end integer
);

CREATE TABLE hafd.fork (
    id bigserial CONSTRAINT pk_hive_fork PRIMARY KEY,
    block_num integer NOT NULL,
    time_of_fork timestamp NOT NULL
);

CREATE TABLE hafd.blocks (
    num integer CONSTRAINT pk_hive_blocks PRIMARY KEY,
    hash bytea NOT NULL,
    prev bytea NOT NULL,
    created_at timestamp NOT NULL,              -- UTC
    producer_account_id integer NOT NULL,
    transaction_merkle_root bytea NOT NULL,
    extensions jsonb,
    witness_signature bytea NOT NULL,
    signing_key text NOT NULL,
    hbd_interest_rate hafd.interest_rate,
    total_vesting_fund_hive hafd.hive_amount,
    total_vesting_shares hafd.vest_amount,
    total_reward_fund_hive hafd.hive_amount,
    virtual_supply hafd.hive_amount,
    current_supply hafd.hive_amount,
    current_hbd_supply hafd.hbd_amount,
    dhf_interval_ledger hafd.hbd_amount
);
CREATE INDEX hive_blocks_producer_account_id_idx ON hafd.blocks (producer_account_id);
CREATE INDEX hive_blocks_created_at_idx ON hafd.blocks (created_at);

CREATE TABLE hafd.blocks_reversible (
    LIKE hafd.blocks INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS,
    fork_id bigint NOT NULL CONSTRAINT fk_1_hive_blocks_reversible REFERENCES hafd.fork,
    CONSTRAINT pk_hive_blocks_reversible PRIMARY KEY (num, fork_id)
);

-- One row once hived has initialised it.
CREATE TABLE hafd.hive_state (
    id integer CONSTRAINT pk_irreversible_data PRIMARY KEY,
    consistent_block integer,
    is_dirty boolean NOT NULL,
    state hafd.sync_state NOT NULL DEFAULT 'START',
    pruning integer NOT NULL DEFAULT 0
);
ALTER TABLE hafd.hive_state ADD CONSTRAINT fk_1_hive_irreversible_data
    FOREIGN KEY (consistent_block) REFERENCES hafd.blocks (num) NOT VALID;

CREATE TABLE hafd.hived_connections (
    id bigserial CONSTRAINT pk_hived_connections PRIMARY KEY,
    block_num integer NOT NULL,
    git_sha text,
    time timestamp NOT NULL                     -- now() in the time zone of hived's session
);

CREATE TABLE hafd.events_queue (
    id bigserial PRIMARY KEY,
    event hafd.event_type NOT NULL,
    block_num bigint NOT NULL
);
CREATE INDEX hive_events_queue_block_num_idx ON hafd.events_queue (block_num);

CREATE TABLE hafd.contexts (
    id serial CONSTRAINT pk_hive_contexts PRIMARY KEY,
    name hafd.context_name NOT NULL CONSTRAINT uq_hive_context_name UNIQUE,
    schema text NOT NULL,
    current_block_num integer NOT NULL,
    irreversible_block integer NOT NULL,
    back_from_fork boolean NOT NULL DEFAULT false,
    events_id bigint,
    fork_id bigint,
    owner name NOT NULL,
    registering_state_provider boolean NOT NULL DEFAULT false,
    is_forking boolean NOT NULL DEFAULT true,
    last_active_at timestamp NOT NULL,
    baseclass_id regclass NOT NULL,
    stages hafd.application_stages,
    loop hafd.application_loop_state
);
CREATE INDEX hive_contexts_owner_idx ON hafd.contexts (owner);

CREATE TABLE hafd.contexts_attachment (
    context_id integer NOT NULL UNIQUE CONSTRAINT fk_contexts_attachment_context REFERENCES hafd.contexts,
    is_attached boolean NOT NULL,
    owner name NOT NULL
);
CREATE INDEX hive_contexts_attachment_owner_idx ON hafd.contexts_attachment (owner);

CREATE TABLE hafd.indexes_constraints (
    table_name text NOT NULL,                   -- with its schema
    index_constraint_name text NOT NULL,
    command text NOT NULL,
    is_constraint boolean NOT NULL,
    is_index boolean NOT NULL,
    is_foreign_key boolean NOT NULL,
    contexts integer[] NOT NULL,                -- ids of the contexts that need it; 0 is HAF itself
    status hafd.index_status NOT NULL DEFAULT 'missing',
    CONSTRAINT pk_hive_indexes_constraints UNIQUE (table_name, index_constraint_name)
);

-- HAF carries its data through pg_dump.
DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY '{fork,fork_id_seq,blocks,blocks_reversible,hive_state,hived_connections,hived_connections_id_seq,
                            events_queue,events_queue_id_seq,contexts,contexts_id_seq,contexts_attachment,
                            indexes_constraints}'::text[] LOOP
        PERFORM pg_catalog.pg_extension_config_dump('hafd.' || kept, '');
    END LOOP;
END
$$;


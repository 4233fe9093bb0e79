#!/bin/bash
# Setup of the demo's third app: who produced how many blocks.  It has two contexts that move together, and an index on
# HAF's table that hived builds while it is live.  Can be run again over what a broken run has left.
. haf_app.sh
run_psql --single-transaction <<'SQL'
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'explorer_owner') THEN
        CREATE ROLE explorer_owner LOGIN IN ROLE hive_applications_owner_group;
        CREATE ROLE explorer_user LOGIN IN ROLE hive_applications_group;
    END IF;
END $$;
CREATE SCHEMA IF NOT EXISTS explorer AUTHORIZATION explorer_owner;
SET LOCAL ROLE explorer_owner;
CREATE TABLE IF NOT EXISTS explorer.producer (id integer PRIMARY KEY, blocks bigint NOT NULL, sum numeric NOT NULL,
                                              last_block integer NOT NULL);

CREATE OR REPLACE FUNCTION explorer.process_blocks(most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    done integer := hive.app_get_current_block_num('explorer_blocks');
    upto integer := least(done + most, (SELECT consistent_block FROM hafd.hive_state));
BEGIN
    IF upto > done THEN
        INSERT INTO explorer.producer AS p
        SELECT producer_account_id, count(*), sum(num), max(num) FROM hafd.blocks WHERE num > done AND num <= upto GROUP BY 1
        ON CONFLICT (id) DO UPDATE SET blocks = p.blocks + excluded.blocks, sum = p.sum + excluded.sum,
                                       last_block = excluded.last_block;
        PERFORM hive.app_set_current_block_num('explorer_blocks', upto);
        PERFORM hive.app_set_current_block_num('explorer_producers', upto);
    END IF;
    RETURN upto - done;
END $$;

SELECT hive.app_create_context(name, 'explorer', false) FROM unnest('{explorer_blocks,explorer_producers}'::text[]) AS name
WHERE NOT hive.app_context_exists(name);
GRANT USAGE ON SCHEMA explorer TO hive_applications_group;
GRANT SELECT ON explorer.producer TO hive_applications_group;
RESET ROLE;
SELECT hive.register_index_dependency('explorer_producers',
    'CREATE INDEX IF NOT EXISTS explorer_blocks_producer_num_idx ON hafd.blocks (producer_account_id, num)');
SQL

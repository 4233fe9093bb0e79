#!/bin/bash
# Setup of the demo's first app: how many blocks, the sum of their numbers, and the same for every minute.
# Can be run again over what a broken run has left.
. haf_app.sh
run_psql --single-transaction <<'SQL'
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tally_owner') THEN
        CREATE ROLE tally_owner LOGIN IN ROLE hive_applications_owner_group;
        CREATE ROLE tally_user LOGIN IN ROLE hive_applications_group;
    END IF;
END $$;
CREATE SCHEMA IF NOT EXISTS tally AUTHORIZATION tally_owner;
SET LOCAL ROLE tally_owner;
CREATE TABLE IF NOT EXISTS tally.total (last_block integer NOT NULL, blocks bigint NOT NULL, sum numeric NOT NULL);
INSERT INTO tally.total SELECT 0, 0, 0 WHERE NOT EXISTS (SELECT FROM tally.total);
CREATE TABLE IF NOT EXISTS tally.minute (minute timestamp PRIMARY KEY, blocks integer NOT NULL, sum numeric NOT NULL);

CREATE OR REPLACE FUNCTION tally.process_blocks(most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    done integer := hive.app_get_current_block_num('tally');
    upto integer := least(done + most, (SELECT consistent_block FROM hafd.hive_state));
BEGIN
    IF upto > done THEN
        INSERT INTO tally.minute AS m
        SELECT date_trunc('minute', created_at), count(*), sum(num) FROM hafd.blocks WHERE num > done AND num <= upto GROUP BY 1
        ON CONFLICT (minute) DO UPDATE SET blocks = m.blocks + excluded.blocks, sum = m.sum + excluded.sum;
        UPDATE tally.total t SET last_block = upto, blocks = t.blocks + b.blocks, sum = t.sum + b.sum
        FROM (SELECT count(*) AS blocks, sum(num) AS sum FROM hafd.blocks WHERE num > done AND num <= upto) b;
        PERFORM hive.app_set_current_block_num('tally', upto);
    END IF;
    RETURN upto - done;
END $$;

SELECT hive.app_create_context('tally', 'tally', false) WHERE NOT hive.app_context_exists('tally');
GRANT USAGE ON SCHEMA tally TO hive_applications_group;
GRANT SELECT ON tally.total, tally.minute TO hive_applications_group;
SQL

#!/bin/bash
# Setup of the demo's second app, which stands on the first: for each of tally's minutes the sum of all bytes of the blocks'
# hashes.  It never goes further than tally has.  Can be run again over what a broken run has left.
. haf_app.sh
run_psql --single-transaction <<'SQL'
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'digest_owner') THEN
        CREATE ROLE digest_owner LOGIN IN ROLE hive_applications_owner_group;
        CREATE ROLE digest_user LOGIN IN ROLE hive_applications_group;
    END IF;
END $$;
CREATE SCHEMA IF NOT EXISTS digest AUTHORIZATION digest_owner;
GRANT REFERENCES ON tally.minute TO digest_owner;
SET LOCAL ROLE digest_owner;
CREATE TABLE IF NOT EXISTS digest.minute (minute timestamp PRIMARY KEY REFERENCES tally.minute, sum numeric NOT NULL);
CREATE TABLE IF NOT EXISTS digest.total (last_block integer NOT NULL, sum numeric NOT NULL);
INSERT INTO digest.total SELECT 0, 0 WHERE NOT EXISTS (SELECT FROM digest.total);

CREATE OR REPLACE FUNCTION digest.process_blocks(most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    done integer := hive.app_get_current_block_num('digest');
    upto integer := least(done + most, hive.app_get_current_block_num('tally'));
    bytes numeric;
BEGIN
    IF upto > done THEN
        WITH batch AS (
            INSERT INTO digest.minute AS m
            SELECT date_trunc('minute', created_at), sum(get_byte(hash, i))
            FROM hafd.blocks, generate_series(0, 19) AS i WHERE num > done AND num <= upto GROUP BY 1
            ON CONFLICT (minute) DO UPDATE SET sum = m.sum + excluded.sum)
        SELECT sum(get_byte(hash, i)) INTO bytes
        FROM hafd.blocks, generate_series(0, 19) AS i WHERE num > done AND num <= upto;
        UPDATE digest.total SET last_block = upto, sum = sum + bytes;
        PERFORM hive.app_set_current_block_num('digest', upto);
    END IF;
    RETURN upto - done;
END $$;

SELECT hive.app_create_context('digest', 'digest', false) WHERE NOT hive.app_context_exists('digest');
GRANT USAGE ON SCHEMA digest TO hive_applications_group;
GRANT SELECT ON digest.total, digest.minute TO hive_applications_group;
SQL

-- HAF as hived leaves it when live, at block 100; what moves it from there; and hafstack.
INSERT INTO hafd.hived_connections (block_num, git_sha, time) VALUES (100, 'bench', now());
INSERT INTO hafd.blocks SELECT n, '\x00', '\x00', (now() AT TIME ZONE 'UTC') - (100 - n) * interval '3 s', 1, '\x00',
    NULL, '\x00', 'x', 1, 1, 1, 1, 1, 1, 1, 1 FROM generate_series(1, 100) AS n;
INSERT INTO hafd.hive_state (id, consistent_block, is_dirty, state, pruning) VALUES (1, 100, false, 'LIVE', 0);
UPDATE hafd.indexes_constraints SET status = 'created';

-- One block more, and every context moves to it.
CREATE PROCEDURE public.next_block() LANGUAGE sql AS $$
    INSERT INTO hafd.blocks SELECT consistent_block + 1, '\x00', '\x00', now() AT TIME ZONE 'UTC', 1, '\x00',
        NULL, '\x00', 'x', 1, 1, 1, 1, 1, 1, 1, 1 FROM hafd.hive_state;
    UPDATE hafd.hive_state SET consistent_block = consistent_block + 1;
    UPDATE hafd.contexts SET current_block_num = (SELECT consistent_block FROM hafd.hive_state);
$$;
CREATE EXTENSION hafstack;

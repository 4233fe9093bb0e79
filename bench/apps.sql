-- Makes it :n apps, straight into the tables: each has run its index build and its setup, follows one context, and is live.
-- Nothing of it needs a container.
TRUNCATE hafstack.app, hafstack.container;
DELETE FROM hafd.contexts_attachment;
DELETE FROM hafd.contexts;
INSERT INTO hafd.contexts (name, schema, current_block_num, irreversible_block, owner, is_forking, last_active_at, baseclass_id)
SELECT 'context_' || i, 'public', 100, 100, current_user, true, now(), 'hafd.blocks'::regclass FROM generate_series(1, :n) AS i;
INSERT INTO hafd.contexts_attachment SELECT id, true, current_user FROM hafd.contexts;
UPDATE hafd.contexts SET current_block_num = (SELECT consistent_block FROM hafd.hive_state);
INSERT INTO hafstack.app (name, place, contexts, index, setup, counts, names, phase, checked_version)
SELECT 'app-' || i, i, ARRAY['context_' || i], '{"Image": "x"}', '{"Image": "x"}', '{1,1,0,0,0}',
    ARRAY['bench-app-' || i || '-index', 'bench-app-' || i || '-setup'], 'live', 1 + s.spec_version
FROM generate_series(1, :n) AS i, hafstack.stack AS s;
UPDATE hafstack.app SET current_run = run;
INSERT INTO hafstack.container (app, role, ordinal, run, attempt, name, id, image, spec_version, state, done, exit_code,
    log_stored, created_seq, started_at, finished_at)
SELECT a.name, r, 1, a.run, 1, a.names[o], md5(a.name || r) || md5(r || a.name), 'hafstack-test/busybox', a.checked_version,
    'removed', true, 0, true, a.place * 2 + o, now(), now()
FROM hafstack.app AS a, unnest('{index,setup}'::text[]) WITH ORDINALITY AS u (r, o);
ANALYZE hafstack.app, hafstack.container, hafd.contexts, hafd.contexts_attachment;
UPDATE hafstack.stack SET phase = 'live';
SELECT hafstack.wake();

--
-- Role specs: what is wrong is said at registration
--
\pset format unaligned
\pset tuples_only on
BEGIN;
-- every form that there is
SELECT hafstack.register_app('none', setup => 'null', sync => NULL);
SELECT hafstack.register_app('word', setup => '"img:1"');
SELECT hafstack.register_app('object', image => 'img:1', setup => '{"Cmd": ["x"]}');
SELECT hafstack.register_app('list', image => 'img:1', setup => '["a:1", {}, {"Image": "b:1"}]');
SELECT name, counts, names FROM hafstack.app ORDER BY place;

-- no convention
SELECT refused($$ SELECT hafstack.register_app('app', sync => 'true', contexts => '{c}') $$);
SELECT refused($$ SELECT hafstack.register_app('app', api => 'true') $$);
-- a convention without what it needs: an app_root, a postgres_url
SELECT refused($$ SELECT hafstack.register_app('app', setup => 'true') $$);
SELECT refused($$ SELECT hafstack.register_app('app', setup => 'true', app_root => '/srv/app') $$);
SELECT count(hafstack.configure(postgres_url => 'postgres://haf_admin@haf/haf_block_log'));
SELECT refused($$ SELECT hafstack.register_app('app', setup => 'true') $$);
SELECT refused($$ SELECT hafstack.register_app('app', setup => 'true', app_root => 'srv') $$);
SELECT refused($$ SELECT hafstack.register_app('app', setup => 'false') $$);
SELECT refused($$ SELECT hafstack.register_app('app', setup => '1') $$);
SELECT refused($$ SELECT hafstack.register_app('app', setup => '[]') $$);
SELECT refused($$ SELECT hafstack.register_app('app', setup => '[null]') $$);
SELECT refused($$ SELECT hafstack.register_app('app', setup => '[["x"]]') $$);
SELECT refused($$ SELECT hafstack.register_app('app', setup => '""') $$);
-- no image
SELECT refused($$ SELECT hafstack.register_app('app', setup => '{"Cmd": ["x"]}') $$);
SELECT refused($$ SELECT hafstack.register_app('app', setup => '["a:1", {}]') $$);
-- restarting is hafstack's work
SELECT refused($$ SELECT hafstack.register_app('app', setup => '{"Image": "x:1", "HostConfig": {"RestartPolicy": {"Name": "always"}}}') $$);
SELECT refused($$ SELECT hafstack.register_app('app', setup => '{"Image": "x:1", "HostConfig": {"AutoRemove": true}}') $$);
SELECT hafstack.register_app('no-restart', setup => '{"Image": "x:1", "HostConfig": {"RestartPolicy": {"Name": "no"}}}');
-- placeholders
SELECT refused($$ SELECT hafstack.register_app('app', setup => '{"Image": "x:1", "Env": ["A={{nonesuch}}"]}') $$);
SELECT refused($$ SELECT hafstack.register_app('app', image => '{{nonesuch}}:1', setup => '{}') $$);
SELECT refused($$ SELECT hafstack.register_app('app', setup => '{"Image": "x:1", "Env": ["A={{network}}"]}') $$);
-- labels of ours, names that Docker would refuse
SELECT refused($$ SELECT hafstack.register_app('app', setup => '{"Image": "x:1", "Labels": {"io.hafstack.app": "x"}}') $$);
SELECT refused($$ SELECT hafstack.register_app('app', setup => '{"Image": "x:1", "name": "a b"}') $$);
SELECT refused($$ SELECT hafstack.register_app('app', setup => '{"Image": "x:1", "name": 1}') $$);
SELECT refused($$ SELECT hafstack.register_app('app', setup => '{"Image": "x:1", "aliases": "x"}') $$);
-- too much
SELECT refused($$ SELECT hafstack.register_app('app', setup => jsonb_build_object('Image', 'x:1', 'Env', jsonb_build_array(repeat('x', 1024 * 1024)))) $$);
SELECT refused($$ SELECT hafstack.register_app('app', api => (SELECT jsonb_agg('x:1'::text) FROM generate_series(1, 100))) $$);
-- and not a word of a secret
SELECT refused($$ SELECT hafstack.register_app('app', setup => '{"Env": ["PASSWORD=secret"], "HostConfig": {"AutoRemove": true}, "Image": "x:1"}') $$);
-- alter_app() is no weaker
SELECT refused($$ SELECT hafstack.alter_app('word', setup => '{"Cmd": ["x"]}') $$);
SELECT refused($$ SELECT hafstack.alter_app('object', image => '') $$);
SELECT refused($$ SELECT hafstack.alter_app('word', sync => 'true') $$);
SELECT count(*) FROM hafstack.app;
ROLLBACK;

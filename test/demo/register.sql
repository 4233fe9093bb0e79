-- The demo's stack: HAF and three apps, every participant of the diagram as a container.
--
--   psql -v network=... -v gateway=... -v url=... -v apps=... -f test/demo/register.sql
--
--   topology       external, or bundled: inside HAF's container, which knows hived's options already
--   network        a user-defined Docker network      gateway   the address at which its containers see PostgreSQL
--   url            postgres://haf_admin@haf:PORT/DB: containers find that address under the name haf
--   apps           absolute path of test/demo
--   tally_port, digest_port, explorer_port, backend_port   where the host finds the APIs (18081 to 18084)
--   replay_blocks, replay_rate, block_interval, index_delay   of the hived simulator (20000, 2500, 0.5, 3)
\set ON_ERROR_STOP on
\if :{?topology}       \else \set topology external   \endif
\if :{?tally_port}     \else \set tally_port 18081     \endif
\if :{?digest_port}    \else \set digest_port 18082    \endif
\if :{?explorer_port}  \else \set explorer_port 18083  \endif
\if :{?backend_port}   \else \set backend_port 18084   \endif
\if :{?replay_blocks}  \else \set replay_blocks 20000  \endif
\if :{?replay_rate}    \else \set replay_rate 2500     \endif
\if :{?block_interval} \else \set block_interval 0.5   \endif
\if :{?index_delay}    \else \set index_delay 3        \endif

SELECT hafstack.configure(
    topology => :'topology', network => :'network', postgres_url => :'url', helper_image => 'hafstack-test/helper',
    vars => jsonb_build_object('gateway', :'gateway', 'apps', :'apps',
        'tally_port', :'tally_port', 'digest_port', :'digest_port', 'explorer_port', :'explorer_port',
        'backend_port', :'backend_port', 'replay_blocks', :'replay_blocks', 'replay_rate', :'replay_rate',
        'block_interval', :'block_interval', 'index_delay', :'index_delay'),
    haf_live_sync => 'true');

SELECT :'topology' = 'external' AS is_external \gset
\if :is_external
SELECT hafstack.configure(
    haf_image => 'hafstack-test/hived',
    defaults => '{"HostConfig": {"ExtraHosts": ["haf:{{gateway}}"]}}',
    haf => '{"Cmd": ["--postgres-url=postgres://hived@{{postgres_host}}:{{postgres_port}}/{{postgres_db}}",
                     "--replay-blocks={{replay_blocks}}", "--replay-rate={{replay_rate}}",
                     "--block-interval={{block_interval}}", "--index-delay={{index_delay}}", "--index-poll=1"],
             "Image": "hafstack-test/hived", "StopSignal": "SIGINT"}');
\endif

-- The scripts in app_root follow the diagram.  Syncs connect as the app's owner, APIs as its user.
SELECT hafstack.register_app('tally', contexts => '{tally}', app_root => :'apps' || '/tally',
    index => 'true', setup => 'true', live_sync => 'true',
    sync => '{"Image": "hafstack-test/helper", "Entrypoint": ["/haf_app_root/scripts/sync.sh"],
              "Cmd": ["--postgres-url=postgres://tally_owner@{{postgres_host}}:{{postgres_port}}/{{postgres_db}}"],
              "HostConfig": {"Binds": ["{{app_root}}:/haf_app_root:ro"]}}',
    api => '{"Image": "hafstack-test/api",
             "Env": ["POSTGRES_URL=postgres://tally_user@{{postgres_host}}:{{postgres_port}}/{{postgres_db}}",
                     "QUERY=SELECT json_build_object(''last_block'', last_block, ''sum'', sum) FROM tally.total"],
             "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "{{tally_port}}"}]}}}');

SELECT hafstack.register_app('digest', contexts => '{digest}', depends_on => '{tally}', app_root => :'apps' || '/digest',
    index => 'true', setup => 'true', live_sync => 'true',
    sync => '{"Image": "hafstack-test/helper", "Entrypoint": ["/haf_app_root/scripts/sync.sh"],
              "Cmd": ["--postgres-url=postgres://digest_owner@{{postgres_host}}:{{postgres_port}}/{{postgres_db}}"],
              "HostConfig": {"Binds": ["{{app_root}}:/haf_app_root:ro"]}}',
    api => '{"Image": "hafstack-test/api",
             "Env": ["POSTGRES_URL=postgres://digest_user@{{postgres_host}}:{{postgres_port}}/{{postgres_db}}",
                     "QUERY=SELECT json_build_object(''last_block'', last_block, ''sum'', sum) FROM digest.total"],
             "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "{{digest_port}}"}]}}}');

-- Two API containers: the one in front starts when the one behind is healthy, and finds it by its alias.
SELECT hafstack.register_app('explorer', contexts => '{explorer_blocks,explorer_producers}', app_root => :'apps' || '/explorer',
    setup => 'true', live_sync => 'true', wait_for_indexes => true,
    sync => '{"Image": "hafstack-test/helper", "Entrypoint": ["/haf_app_root/scripts/sync.sh"],
              "Cmd": ["--postgres-url=postgres://explorer_owner@{{postgres_host}}:{{postgres_port}}/{{postgres_db}}"],
              "HostConfig": {"Binds": ["{{app_root}}:/haf_app_root:ro"]}}',
    api => '[{"Image": "hafstack-test/api", "aliases": ["explorer-backend"],
              "Env": ["POSTGRES_URL=postgres://explorer_user@{{postgres_host}}:{{postgres_port}}/{{postgres_db}}",
                      "QUERY=SELECT json_build_object(''last_block'', max(last_block), ''sum'', sum(sum)) FROM explorer.producer"],
              "Healthcheck": {"Test": ["CMD", "/usr/bin/healthy"], "Interval": 1000000000, "Timeout": 10000000000, "Retries": 5},
              "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "{{backend_port}}"}]}}},
             {"Image": "hafstack-test/api", "Env": ["UPSTREAM=http://explorer-backend/"],
              "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "{{explorer_port}}"}]}}}]');

# The worker never stands in the way of whoever needs the database to himself, and is back when it should be.
use strict;
use warnings;

use Hafstack;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $t = Hafstack->new('database', no_database => 1, init => { allows_streaming => 1 });
my $node = $t->node;
my $worker = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'hafstack worker'};
my $status = q{SELECT hafstack.status() #>> '{worker,running}'};

sub promptly
{
	my ($sql, $what) = @_;
	my $began = time;
	my ($code, undef, $err) = $node->psql('postgres', $sql);
	is($code, 0, "$what works") or diag($err);
	cmp_ok(time - $began, '<', 4, "$what is prompt");
}

sub until_worker
{
	my ($n, $what) = @_;
	ok($node->poll_query_until('postgres', "SELECT $n = ($worker AND datname IS NOT NULL)"), $what);
}

# ---- no database, then one without the extension ----------------------------
sleep 0.5;
is($node->safe_psql('postgres', $worker), 0, 'no database, no worker');
$node->safe_psql('postgres', 'CREATE DATABASE haf_block_log');
$t->sql('CREATE EXTENSION hafstack');
until_worker(1, 'the worker comes with the extension');
$t->sql(q{SELECT hafstack.configure(name => 'database', helper_image => 'hafstack-test/busybox')});

# ---- alone with the database --------------------------------------------------
promptly('ALTER DATABASE haf_block_log RENAME TO elsewhere', 'ALTER DATABASE RENAME');
sleep 0.5;
is($node->safe_psql('postgres', $worker), 0, 'no worker under another name');
like($t->{node}->safe_psql('elsewhere', q{SELECT hafstack.status() ->> 'waiting_for'}), qr/\S/, 'status() works there');
$t->{database} = 'elsewhere';
like($t->sql_error('SELECT hafstack.start()'), qr/55000.*HINT/s, 'changing functions say why not');
$t->{database} = 'haf_block_log';
promptly('ALTER DATABASE elsewhere RENAME TO haf_block_log', 'ALTER DATABASE RENAME back');
until_worker(1, 'the worker is back');

promptly('CREATE DATABASE copy TEMPLATE haf_block_log', 'CREATE DATABASE TEMPLATE');
until_worker(1, 'the worker is back after the copy');
my $dir = PostgreSQL::Test::Utils::tempdir();
promptly("CREATE TABLESPACE other LOCATION '$dir'", 'CREATE TABLESPACE');
promptly('ALTER DATABASE haf_block_log SET TABLESPACE other', 'ALTER DATABASE SET TABLESPACE');
until_worker(1, 'the worker is back after the move');
promptly('ALTER DATABASE haf_block_log SET TABLESPACE pg_default', 'and back');
until_worker(1, 'the worker is back again');
$node->safe_psql('postgres', 'DROP TABLESPACE other');
promptly('DROP DATABASE copy', 'DROP DATABASE of another');
until_worker(1, 'which leaves the worker in peace');
promptly('DROP DATABASE haf_block_log', 'DROP DATABASE');
is($node->safe_psql('postgres', $worker), 0, 'the worker is gone with it');
$node->safe_psql('postgres', 'CREATE DATABASE haf_block_log');
$t->sql('CREATE EXTENSION hafstack');
until_worker(1, 'the worker is there for a database that appears later');

# a worker that is just about to find no extension, when it comes
for my $pause (0.05, 0.1, 0.2)
{
	$node->safe_psql('postgres', 'DROP DATABASE haf_block_log');
	$node->safe_psql('postgres', 'CREATE DATABASE haf_block_log');
	sleep $pause;
	$t->sql('CREATE EXTENSION hafstack');
	$t->until(q{SELECT (hafstack.status() #>> '{worker,running}')::bool}, 'an extension is not missed', 15);
}

# the moment in which a worker that was just launched has not yet announced itself
my $failed = 0;
for my $pause (0, 0.02, 0.05, 0.1, 0.15, 0.2)
{
	$node->psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'hafstack worker'});
	sleep 0.9 + $pause;
	$node->psql('postgres', 'ALTER DATABASE haf_block_log RENAME TO elsewhere') == 0 or $failed++;
	$node->psql('postgres', 'ALTER DATABASE elsewhere RENAME TO haf_block_log') == 0 or $failed++;
}
is($failed, 0, 'nor does a worker that is just starting stand in the way');
until_worker(1, 'the worker is back');

# ---- the extension ------------------------------------------------------------
for my $i (1 .. 3)
{
	$t->sql('DROP EXTENSION hafstack');
	until_worker(0, 'without the extension no worker');
	$t->sql('CREATE EXTENSION hafstack');
	until_worker(1, 'with it one');
}
$t->sql(q{SELECT hafstack.configure(name => 'database', helper_image => 'hafstack-test/busybox')});
$t->sql('SELECT hafstack.start()');
$t->until(q{SELECT (hafstack.status() #>> '{worker,docker_reachable}')::bool}, 'it is connected');

# ---- docker_host changes --------------------------------------------------------
$t->sql(q{ALTER SYSTEM SET hafstack.docker_host = 'unix:///nowhere'; SELECT pg_reload_conf()});
$t->until(q{SELECT NOT (hafstack.status() #>> '{worker,docker_reachable}')::bool
	AND hafstack.status() #>> '{worker,docker_host}' = 'unix:///nowhere'}, 'a reload changes docker_host');
$t->sql(q{ALTER SYSTEM SET hafstack.docker_host = 'what is this'; SELECT pg_reload_conf()});
$t->until(q{SELECT hafstack.status() #>> '{worker,docker_host}' = 'what is this'
	AND length(hafstack.status() #>> '{worker,last_error}') > 5}, 'nonsense is reported');
$t->sql(q{ALTER SYSTEM RESET hafstack.docker_host; SELECT pg_reload_conf()});
$t->until(q{SELECT (hafstack.status() #>> '{worker,docker_reachable}')::bool}, 'and it is connected again');

# ---- copies ---------------------------------------------------------------------
# in mid-bring-up: the first setup runs, the second waits for it
my $long = $t->spec('one', 'setup', 'sleep 6; echo end');
my $short = $t->spec('two', 'setup', 'echo two');
$t->sql(q{CREATE EXTENSION hive_fork_manager});
$t->haf_live(1);
$t->sql("SELECT hafstack.register_app('one', setup => '$long'); SELECT hafstack.register_app('two', setup => '$short')");
$t->until(q{SELECT state = 'running' FROM hafstack.container WHERE app = 'one'}, 'the first setup runs');
my $dump = "$dir/dump";
$node->command_ok([ 'pg_dump', '--port', $node->port, '--host', $node->host, '--format', 'custom', '--file', $dump, 'haf_block_log' ],
	'pg_dump in mid-bring-up');
$node->safe_psql('postgres', 'ALTER DATABASE haf_block_log RENAME TO original; CREATE DATABASE haf_block_log');
# pg_dump of 14 has the policies of HAF's tables a second time, beside the extension that makes them
my ($contents) = PostgreSQL::Test::Utils::run_command([ 'pg_restore', '--list', $dump ]);
PostgreSQL::Test::Utils::append_to_file("$dump.list", join("\n", grep { !/^\d+; \d+ \d+ POLICY hafd / } split /\n/, $contents) . "\n");
$node->command_ok([ 'pg_restore', '--port', $node->port, '--host', $node->host, '--use-list', "$dump.list", '--dbname', 'haf_block_log', $dump ],
	'pg_restore into another database of the name');
until_worker(1, 'which has a worker');
$t->until(q{SELECT hafstack.status() ->> 'waiting_for' ~ 'copied.*take_over'}, 'that says it is a copy');
like($t->sql_error('SELECT hafstack.start()'), qr/55000.*take_over/s, 'start() says so, too');
sleep 3;
is($t->starts('two', 'setup'), 0, 'and only looks');
is($t->sql(q{SELECT state FROM hafstack.container WHERE app = 'one'}), 'running', 'nothing is written');
sleep 3;
$t->sql('SELECT hafstack.start(take_over => true)');
$t->until(q{SELECT bool_and(phase = 'live') FROM hafstack.app}, 'it goes on when it is told to');
is($t->starts('one', 'setup') . $t->starts('two', 'setup'), '11', 'and nothing ran twice');

# ---- a standby ------------------------------------------------------------------
$node->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'b', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $worker), 0, 'a standby has no worker');
like($standby->safe_psql('haf_block_log', q{SELECT hafstack.status() ->> 'phase'}), qr/live/, 'but status()');
like(scalar($standby->safe_psql('haf_block_log', $status)), qr/false/, 'which says that there is none');
my ($code, undef, $err) = $standby->psql('haf_block_log', 'SELECT hafstack.pause()');
isnt($code, 0, 'changing functions cannot change it');
$node->stop('fast');
$standby->promote;
ok($standby->poll_query_until('postgres', "SELECT 1 = ($worker)"), 'promotion starts one');
ok($standby->poll_query_until('haf_block_log', q{SELECT (hafstack.status() #>> '{worker,docker_reachable}')::bool}),
	'which goes on with the same stack');
is($standby->safe_psql('haf_block_log', q{SELECT hafstack.status() ->> 'waiting_for'}), '', 'and is no copy');
$standby->stop('immediate');

# ---- without preload, elsewhere, without a slot ------------------------------------
$node->append_conf('postgresql.conf', "hafstack.database = 'postgres'");
$node->start;
$t->until(q{SELECT hafstack.status() #>> '{worker,running}' = 'false'}, 'another database than hafstack.database has no worker');
like($t->sql_error('SELECT hafstack.pause()'), qr/55000.*HINT/s, 'changing functions say why not');
$node->append_conf('postgresql.conf', "hafstack.database = 'haf_block_log'\nmax_worker_processes = 2");
$node->restart;
$t->until(q{SELECT hafstack.status()::text ~ 'max_worker_processes'}, 'no free slot is reported in status()');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\nmax_worker_processes = 8");
$node->restart;
like($t->sql_error('SELECT hafstack.pause()'), qr/55000.*HINT.*shared_preload_libraries/s, 'without preload, too');
is($t->sql(q{SELECT hafstack.status() ->> 'phase'}), 'live', 'and status() works');

$t->done;
done_testing();

# Rule 10: the worker holds no transaction, snapshot or lock while it waits, waits for no lock for long, and nothing that
# others do to the database stops it.
use strict;
use warnings;

use Hafstack;
use IPC::Run;
use Test::More;
use Time::HiRes qw(time sleep);

my $t = Hafstack->new('sacred', haf => 'live', conf => "hafstack.poll_interval = '10ms'\nlog_min_messages = log\n");
my $node = $t->node;
my $serve = 'trap exit TERM; sleep 1000 & wait';
my $worker = q{backend_type = 'hafstack worker'};

# Another session, which holds what it was told to hold until it is closed.
sub session
{
	my ($sql) = @_;
	my %s = (in => "$sql\n\\echo ready\n", out => '');
	$s{timer} = IPC::Run::timeout(120);
	$s{run} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('haf_block_log') ],
		'<', \$s{in}, '>', \$s{out}, '2>', \$s{err}, $s{timer});
	$s{run}->pump until $s{out} =~ /ready/ || !$s{run}->pumpable;
	return \%s;
}

sub leave
{
	my ($s, $sql) = @_;
	$s->{in} .= "$sql\n\\q\n";
	$s->{run}->finish;
}

sub register
{
	my ($app, $setup) = @_;
	my $spec = $t->spec($app, 'setup', $setup);
	$t->sql("SELECT hafstack.register_app('$app', setup => '$spec')");
}

sub until_live { my ($app, $what) = @_; return $t->until("SELECT phase = 'live' FROM hafstack.app WHERE name = '$app'", $what, 30); }

# ---- nothing is held ------------------------------------------------------------
$t->sql('SELECT hafstack.start()');
register('aa', 'sleep 4');
my ($looks, $held, $idle) = (0, 0, 0);
my $pid = $t->sql("SELECT pid FROM pg_stat_activity WHERE $worker");
my $poll = <<EOS;
DO \$\$
DECLARE
	looks int := 0; xacts int := 0; longest interval := '0'; locks int := 0;
	r record;
BEGIN
	FOR i IN 1 .. 200 LOOP
		PERFORM pg_stat_clear_snapshot();
		SELECT xact_start, backend_xmin, clock_timestamp() - xact_start AS age INTO r FROM pg_stat_activity WHERE pid = $pid;
		looks := looks + 1;
		xacts := xacts + (r.xact_start IS NOT NULL)::int;
		longest := greatest(longest, r.age);
		PERFORM pg_sleep(0.02);
	END LOOP;
	RAISE NOTICE 'looks % busy % longest %', looks, xacts, extract(milliseconds FROM longest)::int;
END
\$\$
EOS
my ($code, $out, $err) = $node->psql('haf_block_log', $poll);
my ($n, $busy, $longest) = $err =~ /looks (\d+) busy (\d+) longest (\d+)/;
note("$busy of $n looks found a transaction, the longest of $longest ms");
cmp_ok($busy, '<', $n / 2, 'while a job runs the worker is mostly in no transaction');
cmp_ok($longest, '<', 1000, 'and in none for long');
$t->sql("SELECT pg_sleep(0.3)");
until_live('aa', 'the app went on meanwhile');
my $quiet = q{SELECT bool_or(x) FROM (SELECT NOT EXISTS (SELECT FROM pg_locks WHERE pid = } . $pid . q{) AS x, pg_sleep(0.013 + i - i)
	FROM generate_series(1, 20) AS i) AS s};
$t->until($quiet, 'and it holds no lock');

# ---- locked tables ----------------------------------------------------------------
for my $table (qw(hafd.hive_state hafstack.container hafstack.stack))
{
	my $app = $table =~ s/\W/-/r;
	register($app, 'sleep 1');
	$t->until("SELECT state = 'running' FROM hafstack.container WHERE app = '$app'", "a job runs, then $table is locked");
	my $locker = session("BEGIN; LOCK TABLE $table IN ACCESS EXCLUSIVE MODE;");
	if ($table =~ /^hafd/)
	{
		my $began = time;
		until_live($app, 'Docker work goes on');
		like($t->sql(q{SELECT hafstack.status() #>> '{haf,observed_at}'}), qr/\d/, 'status() answers');
		cmp_ok(time - $began, '<', 20, 'without waiting');
		leave($locker, 'COMMIT;');
	}
	else
	{
		sleep 2;
		is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE $worker AND pid = $pid"), 1,
			'the worker is alive');
		cmp_ok($node->safe_psql('postgres', "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)
			FROM pg_stat_activity WHERE $worker"), '<', 1, 'and waits for no lock for long');
		leave($locker, 'COMMIT;');
		until_live($app, 'and goes on when the lock is gone');
	}
	is($t->starts($app, 'setup'), 1, 'its job ran once');
}
$t->until(q{SELECT hafstack.status()::text !~ 'lock timeout'}, 'and nothing of it is left in status()');

# ---- transactions left open ----------------------------------------------------------
register('bb', 'true');
until_live('bb', 'an app is there');
my $open = session(q{BEGIN; SELECT hafstack.hold('bb');});
# the worker itself does not wait for it
my $spec = $t->spec('cc', 'setup', 'true');
my $began = time;
$t->until(q{SELECT (hafstack.status() #>> '{worker,docker_reachable}')::bool}, 'status() answers while hold() is not committed');
leave($open, 'COMMIT;');
$t->sql("SELECT hafstack.register_app('cc', setup => '$spec')");
until_live('cc', 'others go on after it');
ok($t->sql(q{SELECT held FROM hafstack.apps WHERE name = 'bb'}) eq 't', 'it took effect');
$open = session('BEGIN; SELECT hafstack.pause();');
leave($open, 'ROLLBACK;');
is($t->sql(q{SELECT hafstack.status() ->> 'paused'}), 'false', 'what is rolled back has no effect');

# ---- vacuum --------------------------------------------------------------------------
register('dd', 'sleep 3');
$t->until(q{SELECT state = 'running' FROM hafstack.container WHERE app = 'dd'}, 'a job runs');
$t->sql('CREATE TABLE bulk AS SELECT generate_series(1, 1000) AS n; DELETE FROM bulk');
sleep 0.3;
($code, $out, $err) = $node->psql('haf_block_log', 'VACUUM VERBOSE bulk');
like($err, qr{\b0 (are dead but not yet removable|dead row versions cannot be removed yet)}, 'VACUUM is not held back');    # 14 has the latter

# ---- HAF's update ----------------------------------------------------------------------
$began = time;
$t->sql(q{ALTER EXTENSION hive_fork_manager UPDATE TO '1.1'});
cmp_ok(time - $began, '<', 10, "HAF's update goes through");
until_live('dd', 'and the stack goes on');

# ---- hostile settings --------------------------------------------------------------------
$t->sql('CREATE ROLE nobody; CREATE SCHEMA evil');
$t->sql(q{CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT 1/0; SELECT NULL::timestamptz'});
for my $setting ("search_path = evil, hafstack, pg_catalog", 'default_transaction_read_only = on', 'statement_timeout = 1',
	'default_transaction_isolation = serializable', 'row_security = off', 'array_nulls = off', 'role = nobody',
	"timezone = 'Asia/Kolkata'", "datestyle = 'German'", "intervalstyle = 'iso_8601'", "bytea_output = 'escape'",
	'idle_in_transaction_session_timeout = 1', 'transform_null_equals = on', 'default_tablespace = pg_default',
	'synchronous_commit = remote_apply', 'session_replication_role = replica', 'lock_timeout = 1',
	"client_encoding = 'LATIN1'", 'enable_indexscan = off')
{
	$node->safe_psql('postgres', "ALTER DATABASE haf_block_log SET $setting");
}
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE $worker AND pid <> $pid"),
	'the worker starts under hostile settings');
# our own sessions are spared
$ENV{PGOPTIONS} = join ' ', map { "-c $_" } qw(role=none statement_timeout=0 lock_timeout=0
  default_transaction_read_only=off idle_in_transaction_session_timeout=0 search_path=public);
register('hostile', 'sleep 1');
until_live('hostile', 'and works as ever');
is($t->sql(q{SELECT now() - finished_at BETWEEN '0' AND '1 min' FROM hafstack.container WHERE app = 'hostile'}), 't',
	'times are right');
delete $ENV{PGOPTIONS};
$node->safe_psql('postgres', 'ALTER DATABASE haf_block_log RESET ALL');

# ---- a row that somebody has locked ---------------------------------------------------------
# bystanders go on, whether they come before it or after
my @apps = map { "lock-$_" } 1 .. 3;
for my $app (@apps)
{
	$t->sql("SELECT hafstack.register_app('$app', api => '" . $t->spec($app, 'api', 'trap exit TERM; sleep 1000 & wait') . "')");
}
$t->until_phase($_, 'serving') for @apps;
$t->sql(q{SELECT hafstack.stop()});
$t->until(q{SELECT phase = 'idle' FROM hafstack.stack}, 'all are down');
my $locker = $node->background_psql('haf_block_log');
$locker->query_safe(q{BEGIN; SELECT FROM hafstack.app WHERE name = 'lock-2' FOR UPDATE});
$t->sql(q{SELECT hafstack.start()});
my $runs = q{SELECT state = 'running' FROM hafstack.container WHERE role = 'api' AND app =};
$t->until("$runs '$_'", "$_ comes up", 20) for qw(lock-1 lock-3);
is($t->sql("$runs 'lock-2'"), 'f', 'the one that is locked does not');
is($t->sql(q{SELECT length(hafstack.status() #>> '{worker,last_error}') > 0}), 't', 'and status() tells of the lock');
$locker->query_safe('COMMIT');
$t->until("$runs 'lock-2'", 'until it is free');
$locker->quit;

# ---- memory ---------------------------------------------------------------------------------
$node->restart;
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE $worker");
$pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE $worker");
sub resident { my ($kb) = PostgreSQL::Test::Utils::slurp_file("/proc/$pid/status") =~ /RssAnon:\s+(\d+)/; return $kb; }
register('ee', 'true');
until_live('ee', 'the worker has warmed up');
sleep 3;
my $before = resident();
# rounds, catalog loads and failing looks
$t->sql('DO $$ BEGIN FOR i IN 1 .. 2000 LOOP PERFORM hafstack.wake(); COMMIT; PERFORM pg_sleep(0.002); END LOOP; END $$');
sleep 3;
my $after = resident();
note("anonymous memory: $before kB, then $after kB");
cmp_ok($after - $before, '<', 512, 'the memory of the worker does not grow');

$t->done;
done_testing();

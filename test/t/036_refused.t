# What the Engine refuses for long, what it forgets, a connection on which it falls silent, and containers that others
# start again: each shows, nothing goes round without a pause, and no job that is done runs twice.
use strict;
use warnings;

use FaultProxy;
use Hafstack;
use Test::More;
use Time::HiRes qw(sleep);

my $t = Hafstack->new('refused', haf => 'live', conf => "hafstack.docker_timeout = '2s'\n");
my $proxy = FaultProxy->new(TestEngine::host());
my $reachable = q{SELECT (hafstack.status() #>> '{worker,docker_reachable}')::bool};

sub register
{
	my ($app, %spec) = @_;
	$t->sql("SELECT hafstack.register_app('$app', " . join(', ', map { "$_ => '$spec{$_}'" } sort keys %spec) . ')');
}

sub worker { return $t->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hafstack worker'}); }

sub use_host
{
	my ($host) = @_;
	$t->sql("ALTER SYSTEM SET hafstack.docker_host = '$host'");
	$t->sql('SELECT pg_reload_conf()');
}

$t->sql('SELECT hafstack.start()');
$t->until($reachable, 'the Engine is reached');
my $worker = worker();

# ---- started again by somebody else --------------------------------------------

register('again', setup => $t->spec('again', 'setup', 'sleep 2; echo through'));
$t->until(q{SELECT state = 'running' FROM hafstack.container WHERE app = 'again'}, 'a job runs');
$t->docker('restart', '--time', '0', 'refused-again-setup');
$t->until_phase('again', 'live');
is($t->starts('again', 'setup'), 2, 'the operator started it again, and nobody else');
is($t->sql(q{SELECT attempt || ' ' || exit_code || ' ' || failures FROM hafstack.container WHERE app = 'again' AND role = 'setup'}),
	'1 0 0', 'that it then exited 0 counts');

# ---- a start that was refused is never an unknown outcome ------------------------

register('nothing', setup => '{"Image": "hafstack-test/busybox", "Cmd": ["/no/such/program"]}');
$t->until(q{SELECT failed AND error ~ 'could not be started' FROM hafstack.app WHERE name = 'nothing'}, 'a job cannot be started');
unlike($t->sql(q{SELECT error FROM hafstack.app WHERE name = 'nothing'}), qr/outcome unknown/, 'which is certain');
$t->engine('restart');
$t->until($reachable, 'the Engine that remembers it is restarted', 30);
$t->sql("SELECT hafstack.alter_app('nothing', setup => '" . $t->spec('nothing', 'setup', 'true') . "')");
$t->sql(q{SELECT hafstack.retry('nothing')});
$t->until_phase('nothing', 'live');
is($t->sql(q{SELECT count(*) FROM hafstack.event WHERE app = 'nothing' AND detail ~ 'outcome unknown'}), 0,
	'tried again, it runs at once');

# ---- refused for long ------------------------------------------------------------

use_host($proxy->host);
$t->until("SELECT hafstack.status() #>> '{worker,docker_host}' = '" . $proxy->host . "' AND ($reachable)", 'by way of the proxy');
register('stuck', api => $t->spec('stuck', 'api', 'trap exit TERM; sleep 1000 & wait'));
$t->until_phase('stuck', 'serving');
$proxy->spoil('DELETE .*', 'error');
$t->docker('kill', 'refused-stuck-api');
$t->until(q{SELECT waiting_for ~ 'could not be removed: .*everything burns' FROM hafstack.apps WHERE name = 'stuck'},
	'a removal that is refused again and again shows in status');
sleep 2.5;
is($t->sql(q{SELECT count(*) FROM hafstack.event WHERE kind = 'warning' AND app = 'stuck' AND detail ~ 'could not be removed'}), 1,
	'one event tells of it');
like(PostgreSQL::Test::Utils::slurp_file($t->node->logfile), qr/hafstack: api 1, refused-stuck-api: could not be removed/,
	'and the server log');
$proxy->pass;
$t->until(q{SELECT state = 'running' AND attempt = 2 FROM hafstack.container WHERE app = 'stuck'}, 'then it comes back');
$t->until(q{SELECT waiting_for IS NULL FROM hafstack.apps WHERE name = 'stuck'}, 'and nothing is said any more');

$proxy->spoil('POST .*/create', 'taken');
register('reserved', setup => $t->spec('reserved', 'setup', 'true'));
$t->until(q{SELECT failed AND error ~ 'name is reserved' FROM hafstack.app WHERE name = 'reserved'},
	'a name that is reserved for nobody is a failure');
sleep 1;
cmp_ok($proxy->spoilt, '<', 12, 'tried again with a pause only');
$proxy->pass;
$t->sql(q{SELECT hafstack.retry('reserved')});
$t->until_phase('reserved', 'live');
is($t->starts('reserved', 'setup'), 1, 'in the end its job ran once');

# ---- silence on a connection that stands --------------------------------------------

$proxy->spoil('GET .*/containers/json.*', 'hang');
$t->until("SELECT NOT ($reachable)", 'an Engine that falls silent is noticed', 15);
$proxy->pass;
$t->until($reachable, 'and is welcome again', 20);

# ---- a cancel that finds nothing to cancel --------------------------------------------

is(worker(), $worker, 'the worker lived through all of it');
for (1 .. 3) { $t->sql("SELECT pg_cancel_backend($worker)"); sleep 0.3; }
is(worker(), $worker, 'and through pg_cancel_backend()');

# ---- another stack under a connection that stands ---------------------------------------

my $began = $t->sql('SELECT pg_postmaster_start_time()');
$t->sql('BEGIN; DROP EXTENSION hafstack; CREATE EXTENSION hafstack; COMMIT');
sleep 2.5;						# past hafstack.resync_interval
$t->sql(q{SELECT hafstack.configure(name => 'refused', helper_image => 'hafstack-test/busybox')});
register('anew', setup => $t->spec('anew', 'setup', 'true'));
$t->sql('SELECT hafstack.start()');
$t->until_phase('anew', 'live');
is($t->starts('anew', 'setup'), 1, 'an extension that was created anew works');
unlike(PostgreSQL::Test::Utils::slurp_file($t->node->logfile), qr/was terminated by signal/, 'and nothing crashed');

$t->docker('rm', '--force', split /\n/, $t->docker('ps', '--all', '--quiet', '--filter', 'label=io.hafstack.app=stuck'));
$proxy->stop;
$t->done;
done_testing();

# Answers of the Engine that are lost, late, cut or mad, and containers that others take away: nothing runs twice, nothing
# hangs silently, and what is not ours is left alone.
use strict;
use warnings;

use FaultProxy;
use Hafstack;
use Test::More;
use Time::HiRes qw(time sleep);

my $t = Hafstack->new('faults', haf => 'live', conf => "hafstack.docker_timeout = '2s'\n");
my $node = $t->node;
my $serve = 'trap exit TERM; sleep 1000 & wait';
my $proxy = FaultProxy->new(TestEngine::host());

sub use_host
{
	my ($host) = @_;
	$t->sql("ALTER SYSTEM SET hafstack.docker_host = '$host'");
	$t->sql('SELECT pg_reload_conf()');
}

sub register
{
	my ($app, %spec) = @_;
	$t->sql("SELECT hafstack.register_app('$app', " . join(', ', map { "$_ => '$spec{$_}'" } sort keys %spec) . ')');
}

my $reachable = q{SELECT (hafstack.status() #>> '{worker,docker_reachable}')::bool};
my $cause = q{SELECT hafstack.status() #>> '{worker,last_error}'};

sub until_cause
{
	my ($pattern, $what) = @_;
	$t->until("SELECT coalesce(hafstack.status() #>> '{worker,last_error}' ~ '$pattern', false)", $what, 20);
}

# ---- not ours ---------------------------------------------------------------
# of our names without labels, with some of our labels, of another stack
my @run = ('run', '--detach', '--entrypoint', '/bin/sleep');
$t->docker(@run, '--name', 'faults-strange-setup', 'hafstack-test/busybox', '1000');
my $id = $t->sql('SELECT id FROM hafstack.stack');
my %label = ('io.hafstack.id' => $id, 'io.hafstack.stack' => 'faults', 'io.hafstack.app' => 'strange',
	'io.hafstack.role' => 'sync', 'io.hafstack.ordinal' => 1, 'io.hafstack.run' => 1);
$t->docker(@run, '--name', 'some-labels', (map { ('--label', "$_=$label{$_}") } sort keys %label),
	'hafstack-test/busybox', '1000');
$label{'io.hafstack.attempt'} = 1;
$label{'io.hafstack.id'} = '00000000-0000-4000-8000-000000000000';
$t->docker(@run, '--name', 'other-stack', (map { ('--label', "$_=$label{$_}") } sort keys %label),
	'hafstack-test/busybox', '1000');
my @strangers = qw(faults-strange-setup other-stack some-labels);
my $format = '{{.Id}} {{.State.StartedAt}} {{.State.Status}}';
my $before = $t->docker('inspect', '--format', $format, @strangers);

register('strange', setup => $t->spec('strange', 'setup', 'true'));
$t->sql('SELECT hafstack.start()');
$t->until(q{SELECT error ~ 'is taken by a container that is not hafstack' FROM hafstack.app WHERE name = 'strange' AND failed},
	'a name that is taken is a failure that says so');
$t->sql(q{SELECT hafstack.hold('strange')});

# ---- answers that are lost ----------------------------------------------------
use_host($proxy->host);
$proxy->spoil_once('POST .*/create', 'drop');
register('create', setup => $t->spec('create', 'setup', 'true'));
$t->until(q{SELECT phase = 'live' FROM hafstack.app WHERE name = 'create'}, 'an app goes on when the answer to create is lost', 30);
is($proxy->spoilt, 1, 'it was lost');
is($t->starts('create', 'setup'), 1, 'and its job ran once');

$proxy->spoil_once('POST .*/start', 'drop');
register('start', setup => $t->spec('start', 'setup', 'sleep 1'));
$t->until(q{SELECT phase = 'live' FROM hafstack.app WHERE name = 'start'}, 'an app goes on when the answer to start is lost', 30);
is($proxy->spoilt, 1, 'it was lost');
is($t->starts('start', 'setup'), 1, 'and its job ran once');

$proxy->spoil_once('POST .*/start', 'refuse');
register('refuse', setup => $t->spec('refuse', 'setup', 'true'));
$t->until(q{SELECT phase = 'live' FROM hafstack.app WHERE name = 'refuse'},
	'an app goes on when a start may have been carried out and was not', 30);
is($proxy->spoilt, 1, 'it was lost');
is($t->starts('refuse', 'setup'), 1, 'and its job ran once');

# what was given up as never started ran after all, and the Engine that knew of it has been restarted since
$proxy->spoil_once('POST .*/start', 'refuse', 'DELETE .*', 'race', 'GET .*/events\?.*until.*', 'empty');
register('race', setup => $t->spec('race', 'setup', 'true'));
$t->until(q{SELECT failed AND error ~ 'outcome unknown' FROM hafstack.app WHERE name = 'race'},
	'a start that is not remembered may have been one', 30);
is($proxy->spoilt, 3, 'it was given up, ran, and was forgotten');
is($t->starts('race', 'setup'), 1, 'its job ran once');
$t->sql(q{SELECT hafstack.skip('race')});

$proxy->spoil_once('POST .*/start', 'refuse', 'DELETE .*', 'race');
register('seen', setup => $t->spec('seen', 'setup', 'true'));
$t->until(q{SELECT failed AND error ~ 'outcome unknown' FROM hafstack.app WHERE name = 'seen'},
	'one that is remembered, too', 30);
is($t->starts('seen', 'setup'), 1, 'its job ran once');
$t->sql(q{SELECT hafstack.skip('seen')});

$proxy->spoil_once('DELETE .*', 'drop');
register('remove', setup => $t->spec('remove', 'setup', 'true'));
$t->until(q{SELECT state = 'removed' FROM hafstack.container WHERE app = 'remove'}, 'a removal whose answer is lost is one', 30);
is($t->starts('remove', 'setup'), 1, 'and its job ran once');

$proxy->spoil_once('GET .*/logs', 'cut');
register('logs', setup => $t->spec('logs', 'setup', 'echo said'));
$t->until(q{SELECT phase = 'live' FROM hafstack.app WHERE name = 'logs'}, 'an app goes on when a log is cut off', 30);
$t->until(q{SELECT hafstack.logs('logs', 'setup') = E'said\n'}, 'which is read again', 30);

# ---- an Engine that hangs ---------------------------------------------------
$proxy->spoil('.*', 'hang');
$t->sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = $$hafstack worker$$');
my $began = time;
until_cause('time|Timeout', 'an Engine that does not answer is reported');
cmp_ok(time - $began, '<', 15, 'after hafstack.docker_timeout');
is($t->sql($reachable), 'f', 'it is not reachable');
like($t->sql(q{SELECT hafstack.status() ->> 'waiting_for'}), qr/^Docker does not answer: /, 'status() says what is waited for');
$began = time;
$t->sql('CREATE TABLE responsive (n int)');
cmp_ok(time - $began, '<', 2, 'the database is responsive');
is($t->sql(q{SELECT count(*) FROM hafstack.event WHERE kind = 'engine' AND to_state = 'unreachable'
	AND seq > (SELECT max(seq) FROM hafstack.event WHERE kind = 'engine' AND to_state = 'reachable')}), 1,
	'one event says so, not one an attempt');
$proxy->pass;
$t->until($reachable, 'and it is reachable again when it answers', 30);

# ---- an Engine gone mad -------------------------------------------------------
my $worker = $t->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hafstack worker'});
my $requests = 10;				# a change of it makes the worker connect anew
for my $how (qw(error garbage nonsense wrong flood cut))
{
	for my $what ('GET .*/version', 'GET .*/containers/json.*')
	{
		$proxy->spoil($what, $how);
		$t->sql(q{ALTER SYSTEM SET hafstack.max_docker_requests = } . $requests++);
		$t->sql('SELECT pg_reload_conf()');
		$t->until(qq{SELECT NOT (hafstack.status() #>> '{worker,docker_reachable}')::bool
			AND length(hafstack.status() #>> '{worker,last_error}') > 10}, "$how to $what is reported", 20);
		note($t->sql($cause));
	}
}
$proxy->pass;
$t->until($reachable, 'a sane Engine is welcome again', 30);
is($t->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hafstack worker'}), $worker,
	'the worker lived through all of it');

# to single calls, in the middle of work
for my $how (qw(error garbage nonsense wrong mute))
{
	$proxy->spoil_once('(GET .*/[0-9a-f]{64}/json|POST .*/create|POST .*/start).*', $how);
	register("mad-$how", setup => $t->spec("mad-$how", 'setup', 'true'));
	$t->until(qq{SELECT phase = 'live' FROM hafstack.app WHERE name = 'mad-$how'}, "an app goes on after a $how", 40);
	is($t->starts("mad-$how", 'setup'), 1, 'and its job ran once');
}
use_host(TestEngine::host());
$t->until($reachable, 'without the proxy', 30);
$proxy->stop;

# ---- done while nobody looked -------------------------------------------------
register('unseen', setup => $t->spec('unseen', 'setup', 'sleep 2; echo through'));
$t->until(q{SELECT state = 'running' FROM hafstack.container WHERE app = 'unseen'}, 'a job runs');
use_host('unix:///nowhere/docker.sock');
$t->until("SELECT NOT ($reachable)", 'the Engine is out of reach');
$t->sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = $$hafstack worker$$');
sleep 3;
use_host(TestEngine::host());
$t->until(q{SELECT phase = 'live' FROM hafstack.app WHERE name = 'unseen'}, 'what ended meanwhile is taken in');
is($t->starts('unseen', 'setup'), 1, 'and not repeated');
is($t->sql(q{SELECT hafstack.logs('unseen', 'setup')}), "through\n", 'with its log');

# ---- taken away by hand -------------------------------------------------------
register('taken', setup => $t->spec('taken', 'setup', 'sleep 60'));
$t->until(q{SELECT state = 'running' FROM hafstack.container WHERE app = 'taken'}, 'a job runs');
# unseen, else its exit code would be known
use_host('unix:///nowhere/docker.sock');
$t->until("SELECT NOT ($reachable)", 'nobody looks');
$t->docker('rm', '--force', 'faults-taken-setup');
use_host(TestEngine::host());
$t->until(q{SELECT failed AND error ~ 'outcome unknown' FROM hafstack.app WHERE name = 'taken'},
	'a job whose container was removed is failed, outcome unknown');
like($t->sql(q{SELECT waiting_for FROM hafstack.apps WHERE name = 'taken'}), qr/hafstack\.retry\('taken'\)/,
	'and says what to do');
sleep 2.5;
is($t->starts('taken', 'setup'), 1, 'it does not run again on a guess');
my $quick = $t->spec('taken', 'setup', 'true');
$t->sql("SELECT hafstack.alter_app('taken', setup => '$quick'); SELECT hafstack.retry('taken')");
$t->until(q{SELECT phase = 'live' AND NOT failed FROM hafstack.app WHERE name = 'taken'}, 'but when it is told to');

register('service', api => $t->spec('service', 'api', $serve));
$t->until_phase('service', 'serving');
$t->docker('rm', '--force', 'faults-service-api');
$t->until(q{SELECT attempt = 2 AND state = 'running' FROM hafstack.container WHERE app = 'service'},
	'a service that was removed comes back');
is($t->starts('service', 'api'), 2, 'once');
$t->docker('kill', 'faults-service-api');
$t->until(q{SELECT attempt = 3 AND state = 'running' FROM hafstack.container WHERE app = 'service'},
	'a service that was killed comes back');

# ---- not ours, all the same -----------------------------------------------------
$t->sql('SELECT hafstack.stop()');
$t->until(q{SELECT phase = 'idle' FROM hafstack.stack}, 'all is stopped');
is($t->docker('inspect', '--format', $format, @strangers), $before, 'containers of others were never touched');
$t->docker('rm', '--force', @strangers);

$t->done;
done_testing();

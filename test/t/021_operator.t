# What an operator can ask for, on real containers: hold, pause, stop, start, retry, skip, reset, remove, alter, wait, read.
use strict;
use warnings;

use EngineLog;
use Hafstack;
use JSON::PP;
use PostgreSQL::Test::Utils ();
use Test::More;

my $t = Hafstack->new('operator', haf => 'live', conf => "hafstack.max_attempts = 1\nhafstack.live_max_age = '1h'\n");
my $secret = 'PSSST';

sub flag { my ($name) = @_; open my $file, '>', "$t->{marks}/$name" or die $!; close $file; }
sub if_flag { return "test -e /marks/$_[0]"; }
sub until_flag { return "while [ ! -e /marks/$_[0] ]; do sleep 0.1; done"; }
sub state_of { my ($app, $role) = @_; return "SELECT state = '$_[2]' FROM hafstack.container WHERE app = '$app' AND role = '$role'"; }

# The worker has been through a round since now: nothing that it has not done by then is under way.
sub rounds
{
	for (1 .. 2)
	{
		my $now = $t->sql('SELECT clock_timestamp()');
		$t->until("SELECT (hafstack.status() #>> '{haf,observed_at}')::timestamptz > '$now'", 'the worker goes round');
	}
}

my $listener = $t->node->background_psql('haf_block_log');
$listener->set_query_timer_restart;
$listener->query_safe('LISTEN hafstack');

# ---- A stack full of secrets ------------------------------------------------------------------------------------------

$t->sql("SELECT hafstack.configure(postgres_url => 'postgres://haf_admin:$secret\@db/haf_block_log',"
	  . qq{ vars => '{"key": "$secret"}', defaults => '{"Env": ["DEFAULT=$secret"]}')});
my $service = sub {
	my ($app, $role, $farewell) = @_;
	return $t->spec($app, $role, sprintf(q(trap \"%s exit 0\" TERM; echo {{key}}; while :; do sleep 0.1; done), $farewell // ''),
		Env => qq(["A=$secret", "URL={{postgres_url}}"]), Labels => qq({"note": "$secret"}), StopTimeout => 5);
};
sub app
{
	my ($name, %role) = @_;
	my $more = delete $role{more} // '';
	$t->sql("SELECT hafstack.register_app('$name'" . join('', map { ", $_ => '$role{$_}'" } sort keys %role) . "$more)");
}
app('base', setup => $t->spec('base', 'setup', 'echo done: {{key}}; ' . until_flag('base'), Env => qq(["B=$secret"])),
	sync => $service->('base', 'sync'), live_sync => $t->spec('base', 'live_sync', 'true'), api => $service->('base', 'api', 'sleep 1;'));
app('upon', setup => $t->spec('upon', 'setup', 'true'), more => ", depends_on => '{base}'");
app('trap', setup => $t->spec('trap', 'setup', if_flag('trap')), live_sync => $t->spec('trap', 'live_sync', if_flag('live')),
	sync => $service->('trap', 'sync'));

# ---- hold and release, with dependants --------------------------------------------------------------------------------

$t->sql(q{SELECT hafstack.hold('base')});
$t->sql('SELECT hafstack.start()');
$t->until(q{SELECT failed FROM hafstack.app WHERE name = 'trap'}, 'an app that is not held goes on, and fails');
rounds();
is($t->sql(q{SELECT string_agg(name || ' ' || phase || ' ' || held, ', ') FROM hafstack.apps}),
	'base registered true, upon registered true, trap app_setup false', 'what is held stays, and what depends on it');
is($t->containers('label=io.hafstack.app=base') . $t->containers('label=io.hafstack.app=upon'), '', 'without containers');
like($t->sql(q{SELECT waiting_for FROM hafstack.apps WHERE name = 'upon'}), qr/held with base.*release\('base'\)/, 'it says with whom');

# ---- skip, and what cannot be skipped ---------------------------------------------------------------------------------

$t->sql(q{SELECT hafstack.skip('trap')});
$t->until(q{SELECT failed AND phase = 'app_sync' FROM hafstack.app WHERE name = 'trap'}, 'skipped, until its detector fails');
is($t->starts('trap', 'setup'), 1, 'what was skipped is not run');
flag('live');
$t->sql(q{SELECT hafstack.retry('trap')});
$t->until_phase('trap', 'live');
is($t->starts('trap', 'live_sync'), 2, 'retry runs what failed once more');
is($t->phase('base'), 'registered', 'all that while base is held');
is($t->sql('SELECT phase FROM hafstack.stack'), 'live', 'the stack is live without it');
like($t->sql_error(q{SELECT hafstack.retry('trap')}), qr/55000.*nothing of app "trap" has failed/s, 'nothing to try again');
like($t->sql_error(q{SELECT hafstack.skip('trap')}), qr/55000.*no job of app "trap" has failed/s, 'nothing to skip');

# ---- pause and resume --------------------------------------------------------------------------------------------------

$t->sql(q{SELECT hafstack.release('base')});
$t->until(state_of('base', 'setup', 'running'), 'released, it is set up, late as it is');
$t->sql('SELECT hafstack.pause()');
$t->until(q{SELECT hafstack.status() ->> 'waiting_for' LIKE '%hafstack.resume()%'}, 'paused');
my $before = join ' ', $t->containers, scalar EngineLog->read($t)->names('start');
flag('base');
$t->docker('kill', 'operator-trap-sync');
$t->until(state_of('base', 'setup', 'exited'), 'what ends is recorded');
$t->until(state_of('trap', 'sync', 'exited'), 'so is a sync that was killed');
rounds();
is(join(' ', $t->containers, scalar EngineLog->read($t)->names('start')), $before, 'nothing is created, started or removed');
is($t->sql(q{SELECT hafstack.logs('base', 'setup')}), "done: $secret\n", 'its log is stored all the same');
$t->sql('SELECT hafstack.resume()');
$t->until_phase($_, 'serving') for qw(base);
$t->until(state_of('trap', 'sync', 'running'), 'the sync is brought back');
$t->until_phase('upon', 'live');

# ---- stop: api, then syncs, then HAF; what is done stays done -----------------------------------------------------------

$t->sql('SELECT hafstack.stop()');
$t->until(q{SELECT phase = 'idle' FROM hafstack.stack}, 'stopped');
is($t->containers('status=running'), '', 'nothing runs');
my $log = EngineLog->read($t);
my $last = sub { my @when = $log->when('die', $_[0]); return $when[-1]; };
ok($last->('operator-base-api') < $last->("operator-$_-sync"), "the API went before the sync of $_") for qw(base trap);
is($t->sql(q{SELECT bool_or(failed) FROM hafstack.container}), 'f', 'what was stopped has not failed');
is($t->sql(q{SELECT count(*) FROM hafstack.container WHERE role IN ('sync', 'api') AND exit_code = 0 AND error IS NOT NULL}), 0,
	'and shows no error when it obeyed');
$t->sql('SELECT hafstack.start()');
$t->until(q{SELECT phase = 'live' FROM hafstack.stack}, 'started again');
$t->until(q{SELECT bool_and(state = 'running') FROM hafstack.container WHERE role IN ('sync', 'api')}, 'all services run');
is($t->phase('base'), 'serving', 'apps are where they were');
is($t->starts(@$_), 1, "$_->[0]'s $_->[1] ran once in all") for [qw(base setup)], [qw(upon setup)], [qw(base live_sync)], [qw(trap setup)];
is($t->starts(@$_), 2, "$_->[0]'s $_->[1] twice") for [qw(base sync)], [qw(base api)];

# ---- stop while a job runs, with and without force ---------------------------------------------------------------------

app('long', setup => $t->spec('long', 'setup', until_flag('long')));
$t->until(state_of('long', 'setup', 'running'), 'a long setup runs');
$t->sql('SELECT hafstack.stop()');
$t->until(q{SELECT hafstack.status() ->> 'waiting_for' ~ 'setup of app long has to end by itself.*force'}, 'stop() waits for it');
rounds();
is($t->containers('status=running', 'label=io.hafstack.role=api'), 'operator-base-api', 'and everything else for that');
$t->sql('SELECT hafstack.stop(force => true)');
$t->until(q{SELECT phase = 'idle' FROM hafstack.stack}, 'forced');
is($t->sql(q{SELECT done FROM hafstack.container WHERE app = 'long'}), 'f', 'what was killed is not done');
flag('long');
$t->sql('SELECT hafstack.start()');
$t->until_phase('long', 'live');
is($t->starts('long', 'setup'), 2, 'and ran again');

# ---- reset -----------------------------------------------------------------------------------------------------------------

my $run = $t->sql(q{SELECT run FROM hafstack.app WHERE name = 'base'});
$t->until_phase('base', 'serving');
$t->sql(q{SELECT hafstack.reset('base')});
$t->until("SELECT current_run > $run AND phase = 'serving' FROM hafstack.app WHERE name = 'base'", 'reset, base comes up anew');
is($t->starts('base', 'setup'), 2, 'with its setup');
is($t->starts('upon', 'setup'), 1, 'without that of its dependants');
is($t->docker('inspect', '--format', '{{index .Config.Labels "io.hafstack.run"}}', 'operator-base-sync'),
	$t->sql(q{SELECT run FROM hafstack.app WHERE name = 'base'}), 'its containers are of the new run');
like($t->sql(q{SELECT string_agg(to_state, ' ' ORDER BY seq) FROM hafstack.event WHERE kind = 'phase' AND app = 'base'}),
	qr/serving registered index_built app_setup setup_done app_sync live serving$/, 'its phases begin again');

# ---- alter_app: from the next container on ---------------------------------------------------------------------------------

my $id = $t->docker('inspect', '--format', '{{.Id}}', 'operator-base-api');
$t->sql(q{SELECT hafstack.alter_app('base', api => '} . $service->('base', 'api9') . q{')});
rounds();
is($t->docker('inspect', '--format', '{{.Id}}', 'operator-base-api'), $id, 'what runs is left alone');
$t->docker('kill', 'operator-base-api');
$t->until(q{SELECT state = 'running' AND attempt > 1 FROM hafstack.container WHERE app = 'base' AND role = 'api'}, 'it dies, and is back');
is($t->starts('base', 'api9'), 1, 'as it was altered');

app('calm', setup => $t->spec('calm', 'setup', until_flag('calm')), sync => $service->('calm', 'sync'),
	live_sync => $t->spec('calm', 'live_sync', 'true'));
$t->until(state_of('calm', 'sync', 'created'), 'a sync is created ahead of its turn');
$t->sql(q{SELECT hafstack.alter_app('calm', sync => '} . $service->('calm', 'sync9') . q{')});
flag('calm');
$t->until_phase('calm', 'live');
is($t->starts('calm', 'sync') . $t->starts('calm', 'sync9'), '01', 'altered before its start, it is made anew');

# ---- done => and remove_app -------------------------------------------------------------------------------------------------

app('old', setup => $t->spec('old', 'setup', 'true'), more => ", done => '{setup}'");
$t->until_phase('old', 'live');
is($t->starts('old', 'setup'), 0, 'a role that counts as done is not run');
like($t->sql_error(q{SELECT hafstack.remove_app('base')}), qr/2BP01.*"upon"/s, 'an app that others need cannot be removed');
$t->sql(q{SELECT hafstack.remove_app('calm')});
$t->until(q{SELECT count(*) = 0 FROM hafstack.app WHERE name = 'calm'}, 'an app is removed');
is($t->containers('label=io.hafstack.app=calm'), '', 'and its containers');
is($t->sql(q{SELECT to_state FROM hafstack.event WHERE app = 'calm' AND kind = 'phase' ORDER BY seq DESC LIMIT 1}), 'removed', 'an event says so');

# ---- wait_for ------------------------------------------------------------------------------------------------------------------

sub refused { my ($call, $pattern, $what) = @_; like($t->sql_error("CALL hafstack.wait_for($call)"), $pattern, "wait_for: $what"); }

$t->sql(q{CALL hafstack.wait_for('base', 'app_setup')});
pass('wait_for returns at once for a phase that is past');
app('bad', setup => $t->spec('bad', 'setup', if_flag('bad')), more => ", depends_on => '{upon}'");
my $waiter = $t->node->background_psql('haf_block_log', on_error_stop => 0);
$waiter->set_query_timer_restart;
$waiter->query_until(qr/waiting/, "\\echo waiting\nCALL hafstack.wait_for('bad', 'live');\n\\echo over :SQLSTATE\n");
refused(q{'bad', 'live'}, qr/HF002.*app "bad" failed.*exited with code 1/s, 'the app fails');
refused(q{'upon', 'serving'}, qr/HF004/, 'a phase that can never come');
refused(q{'trap', 'serving', interval '1 s'}, qr/HF004/, 'the same, whatever the timeout');
refused(q{'nobody', 'live'}, qr/42704/, 'an app that does not exist');
refused(q{'base', 'lively'}, qr/22023/, 'a phase that does not exist');
like($t->sql_error(q{BEGIN; CALL hafstack.wait_for('base', 'live');}), qr/2D000/, 'wait_for: inside a transaction block');
$t->sql(q{SELECT hafstack.hold('bad')});
flag('bad');
$t->sql(q{SELECT hafstack.retry('bad')});
refused(q{'bad', 'live', interval '200 ms'}, qr/HF001/, 'the timeout is over');
$t->until(q{SELECT NOT failed FROM hafstack.app WHERE name = 'bad'}, 'a retry of what is held clears the failure');
my $second = $t->node->background_psql('haf_block_log', on_error_stop => 0);
$second->set_query_timer_restart;
$second->query_until(qr/waiting/, "\\echo waiting\nCALL hafstack.wait_for('bad', 'live');\n\\echo reached :SQLSTATE\n");
$t->until(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL hafstack.wait_for%' AND backend_xmin IS NULL AND xact_start IS NULL},
	'who waits holds no transaction');
$t->sql(q{SELECT hafstack.release('bad')});
like($second->query_until(qr/reached \w+/, ''), qr/reached 00000/, 'wait_for returns when the phase is reached');
$t->sql(q{SELECT hafstack.alter_app('bad', api => '{"Image": "hafstack-test/busybox", "Cmd": ["/no/such/program"]}')});
$second->query_until(qr/waiting again/, "\\echo waiting again\nCALL hafstack.wait_for('bad', 'serving');\n\\echo again over :SQLSTATE\n");
like($second->query_until(qr/again over \w+/, ''), qr/again over HF002/, 'wait_for ends when a service fails');
like($t->sql_error(q{SELECT hafstack.skip('bad')}), qr/55000.*role api of app "bad" is a service/s, 'a service cannot be skipped');
$t->sql(q{SELECT hafstack.hold('bad')});
$second->query_until(qr/third wait/, "\\echo third wait\nCALL hafstack.wait_for('old', 'live');\nSELECT hafstack.hold('old');\nSELECT hafstack.reset('old');\nCALL hafstack.wait_for('old', 'live');\n\\echo third over :SQLSTATE\n");
$t->until(q{SELECT phase = 'registered' FROM hafstack.app WHERE name = 'old'}, 'old was reset, and is held');
$t->sql(q{SELECT hafstack.remove_app('old')});
like($second->query_until(qr/third over \w+/, ''), qr/third over HF003/, 'wait_for ends when the app is removed');
like($waiter->query_until(qr/^over \w+/m, ''), qr/^over HF002/m, 'wait_for ended when the job failed');
$_->quit for $second, $waiter;

# ---- status(): everything, and no secret -----------------------------------------------------------------------------------------

$t->until(q{SELECT NOT failed AND phase = 'live' FROM hafstack.stack}, 'what is held does not make the stack failed');
my $status = decode_json($t->sql('SELECT hafstack.status()'));
is(join(' ', sort keys %$status), 'apps error failed fsync haf paused phase running topology waiting_for worker', 'status() has its keys');
is(join(' ', sort keys %{ $status->{haf} }),
	'block_age containers dirty error failed irreversible_block live observed_at ready state waiting_for', 'of HAF');
is(join(' ', sort keys %{ $status->{worker} }), 'docker_api docker_host docker_reachable last_error pid running', 'of the worker');
my ($base) = grep { $_->{name} eq 'base' } @{ $status->{apps} };
is(join(' ', sort keys %$base),
	'blocks_behind blocks_per_second containers current_block error eta failed held name phase since waiting_for', 'of an app');
is(join(' ', sort keys %{ $base->{containers}[0] }),
	'attempt error exit_code health id image name ordinal role started_at state', 'of a container');
is(join(' ', map { "$_->{role} $_->{state}" } @{ $base->{containers} }),
	'setup removed sync running live_sync removed api running', 'its containers, in the order of their roles');
is($base->{waiting_for}, undef, 'nothing holds it');

my @payloads = $listener->query_safe('SELECT 1');
my %where = (
	'status()' => $t->sql('SELECT hafstack.status()'),
	'apps' => $t->sql('SELECT * FROM hafstack.apps'),
	'event' => $t->sql('SELECT * FROM hafstack.event'),
	'what configure() returns of the URL' => $t->sql(q{SELECT hafstack.configure() ->> 'postgres_url'}),
	'the notifications' => join("\n", @payloads),
	'the server log' => PostgreSQL::Test::Utils::slurp_file($t->node->logfile));
unlike($where{$_}, qr/$secret/, "no secret in $_") for sort keys %where;
like($t->docker('inspect', 'operator-base-api'), qr/URL=postgres:..haf_admin:$secret/, 'the container has it, of course');
is($t->sql(q{SELECT count(*) FROM hafstack.event WHERE to_state = 'configure' AND detail = 'postgres: postgres_url, defaults, vars'}), 1,
	'events say who asked for what, by name');
$listener->quit;

$t->done;
done_testing();

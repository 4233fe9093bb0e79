# What can be wrong with a spec: found before the first container where that is possible, named in every case, and mended.
use strict;
use warnings;

use EngineLog;
use Hafstack;
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(time);

my $t = Hafstack->new('preflight', haf => 'live', conf => "hafstack.max_attempts = 2\nhafstack.live_max_age = '1h'\nhafstack.retry_delay = '300ms'\n");
my $network = 'preflight-' . $$;

sub flag { my ($name) = @_; open my $file, '>', "$t->{marks}/$name" or die $!; close $file; }
sub error_of { return $t->sql("SELECT error FROM hafstack.app WHERE name = '$_[0]'"); }
sub container { my ($app, $column) = @_; return $t->sql("SELECT $column FROM hafstack.container WHERE app = '$app' ORDER BY role DESC LIMIT 1"); }
sub waiting_for { return $t->sql("SELECT waiting_for FROM hafstack.apps WHERE name = '$_[0]'"); }
sub until_failed { return $t->until("SELECT failed FROM hafstack.app WHERE name = '$_[0]'", "$_[0] fails"); }

sub app
{
	my ($name, %role) = @_;
	$t->sql("SELECT hafstack.register_app('$name'" . join('', map { ", $_ => '$role{$_}'" } sort keys %role) . ')');
}

sub host { my ($more) = @_; return qq({"Binds": ["$t->{marks}:/marks"], $more}); }

# A subnet that is nobody's, as engine_network in test/lib/engine.sh has it.
sub make_network
{
	for (1 .. 20)
	{
		$t->docker('network', 'create', '--subnet', sprintf('10.%d.%d.0/24', 100 + int rand 100, int rand 256), $network);
		return pass('the network is made') unless $t->{docker_failed};
	}
	fail('the network is made');
}

# ---- Refused at registration -----------------------------------------------------------------------------------------

like($t->sql_error(qq{SELECT hafstack.register_app('xx', setup => '{"Image": "i", "HostConfig": $_->[0]}')}),
	qr/22023.*$_->[1]/s, "$_->[1] is refused")
  for ['{"RestartPolicy": {"Name": "always"}}', 'RestartPolicy'], ['{"AutoRemove": true}', 'AutoRemove'];

# ---- Rule 12: nothing starts on day one that can only fail on day five -------------------------------------------------

my ($absent, $other) = ("localhost:1/hafstack/absent:$$", "localhost:1/hafstack/other:$$");
app('first', setup => $t->spec('first', 'setup', 'true'));
app('second', setup => $t->spec('second', 'setup', 'true'), sync => qq("$absent"), live_sync => $t->spec('second', 'live_sync', 'true'),
	api => qq([{"Image": "$other"}, {"Image": "hafstack-test/busybox", "HostConfig": {"NetworkMode": "$network"}}]));
app('third', setup => qq({"Image": "$absent", "Cmd": ["true"]}));
my $began = time;
$t->sql('SELECT hafstack.start()');
until_failed($_) for qw(second third);
cmp_ok(time - $began, '<', 30, 'soon');
like(error_of('second'), qr/\Q$_\E/, "$_ is missing, it says") for $absent, $other, $network;
like(error_of('third'), qr/\Q$absent\E/, 'to each app that needs it');
unlike(error_of('third'), qr/\Q$other\E/, 'and to no other');
is($t->sql(q{SELECT failed FROM hafstack.app WHERE name = 'first'}), 'f', 'an app without fault is not failed');
is($t->sql('SELECT phase FROM hafstack.stack'), 'preflight', 'but the stack waits');
is($t->containers, '', 'without a single container');
is($t->sql('SELECT hafstack.status() ->> $$failed$$'), 'true', 'and is failed');
like($t->sql('SELECT hafstack.status() ->> $$waiting_for$$'), qr/preflight of app (second|third) failed.*localhost:1/, 'status() says why');
like(waiting_for('third'), qr/preflight of app third failed.*\Q$absent\E.*retry\('third'\)/, 'so does the app');
like(waiting_for('first'), qr/preflight of app (second|third) failed/, 'and one that waits for it');
like(PostgreSQL::Test::Utils::slurp_file($t->node->logfile), qr/second has failed: .*\Q$network\E/, 'and the server log');

$t->docker('tag', 'hafstack-test/busybox', $_) for $absent, $other;
$t->until(q{SELECT NOT failed FROM hafstack.app WHERE name = 'third'}, 'once its image is there, an app is checked anew by itself');
$t->until("SELECT error NOT LIKE '%$other%' FROM hafstack.app WHERE name = 'second'", 'the error of another follows what is still wrong');
like(error_of('second'), qr/\Q$network\E/, 'its network');
is($t->containers, '', 'still nothing is started');
make_network();
$t->until(q{SELECT phase >= 'app_s' FROM hafstack.stack}, 'all mended, the stack goes on');
$t->until_phase($_, 'live') for qw(first third);
$t->sql(q{SELECT hafstack.remove_app('second')});
$t->until(q{SELECT phase = 'live' FROM hafstack.stack}, 'to its end');

# ---- Found only when it is tried --------------------------------------------------------------------------------------

my $missing = "$t->{marks}/missing";
app('mount', setup => qq({"Image": "hafstack-test/busybox", "Cmd": ["true"],
	"HostConfig": {"Mounts": [{"Type": "bind", "Source": "$missing", "Target": "/data"}]}}));
app('command', setup => '{"Image": "hafstack-test/busybox", "Cmd": ["/no/such/program"]}');
app('code', setup => $t->spec('code', 'setup', 'date +%s.%N; test -e /marks/code || exit 7'));
$t->docker('create', '--name', 'preflight-stranger-setup', 'hafstack-test/busybox', 'true');
my $stranger = $t->docker('inspect', '--format', '{{.Id}}', 'preflight-stranger-setup');
app('stranger', setup => '{"Image": "hafstack-test/busybox", "Cmd": ["true"]}');
until_failed($_) for qw(mount command code stranger);

like(error_of('mount'), qr/could not be created:.*bind source path does not exist/, 'a bind mount without a source');
like(waiting_for('mount'), qr/bind source path does not exist.*retry\('mount'\)/, 'says so in waiting_for');
like(error_of('command'), qr/could not be started:.*no such program|could not be started:.*no such file/is, 'a command that does not exist');
is($t->containers('label=io.hafstack.app=command'), 'preflight-command-setup', 'its container stays to be looked at');
like(error_of('code'), qr/setup 1, preflight-code-setup: exited with code 7/, 'an exit code');
is(container('code', 'exit_code'), 7, 'is stored');
is($t->starts('code', 'setup'), 2, 'after max_attempts');
is($t->sql(q{SELECT count(*) FROM hafstack.event WHERE app = 'code' AND kind = 'retry'}), 1, 'the second attempt was announced');
my $log = EngineLog->read($t);
my ($died, $again) = (($log->when('die', 'preflight-code-setup'))[0], ($log->when('start', 'preflight-code-setup'))[1]);
cmp_ok($again - $died, '>', 300_000_000, 'and came after retry_delay');
ok(($log->when('destroy', 'preflight-code-setup'))[0] < ($log->when('create', 'preflight-code-setup'))[1], 'with a new container');
like(error_of('stranger'), qr/"preflight-stranger-setup" is taken by a container that is not hafstack's; it was left alone/, 'a name that is taken');
like(waiting_for('stranger'), qr/preflight-stranger-setup.*is taken.*retry\('stranger'\)/, 'is named in waiting_for');
is($t->docker('inspect', '--format', '{{.Id}} {{.State.Status}}', 'preflight-stranger-setup'), "$stranger created", 'the stranger is left alone');

mkdir $missing;
flag('code');
$t->docker('rm', 'preflight-stranger-setup');
$t->sql(q{SELECT hafstack.alter_app('command', setup => '{"Image": "hafstack-test/busybox", "Cmd": ["true"]}')});
$t->sql("SELECT hafstack.retry('$_')") for qw(mount command code stranger);
$t->until_phase($_, 'live') for qw(mount command code stranger);
is($t->sql(q{SELECT string_agg(error, ' ') FROM hafstack.app}) . $t->sql(q{SELECT string_agg(error, ' ') FROM hafstack.container}), '', 'mended, no error is left');

# ---- Logs of all kinds --------------------------------------------------------------------------------------------------

app('bytes', setup => $t->spec('bytes', 'setup', q(printf \"a\\\\000b\\\\377c\\\\n\")));
app('huge', setup => $t->spec('huge', 'setup', q(head -c 3000000 /dev/zero | tr \"\\\\0\" x; echo; echo end)));
app('silent', setup => $t->spec('silent', 'setup', 'echo unheard', HostConfig => host('"LogConfig": {"Type": "none"}')));
app('tty', setup => $t->spec('tty', 'setup', 'echo on a terminal', Tty => 'true'));
$t->until_phase($_, 'live') for qw(bytes huge silent tty);
like($t->sql(q{SELECT hafstack.logs('bytes', 'setup')}), qr/^a.*b.*c$/, 'NUL and invalid UTF-8 in a log');
like($t->sql(q{SELECT right(hafstack.logs('huge', 'setup'), 5)}), qr/end/, 'the end of a huge log is kept');
cmp_ok($t->sql(q{SELECT octet_length(hafstack.logs('huge', 'setup'))}), '<', 2_000_000, 'not all of it');
like($t->sql(q{SELECT hafstack.logs('silent', 'setup')}), qr/keeps no log/, 'there is none with the log driver none');
like($t->sql(q{SELECT hafstack.logs('tty', 'setup')}), qr/^on a terminal\r?$/m, 'the log of a terminal has no frames');

# ---- Services -------------------------------------------------------------------------------------------------------------

my $up = q(trap \"exit 0\" TERM; while :; do sleep 0.1; done);
# A program that is not there yet: one that ends by itself may have been up for a moment.
app('flapping', api => '{"Image": "hafstack-test/busybox", "Cmd": ["/marks/program"], "HostConfig": ' . host('"Privileged": false') . '}');
until_failed('flapping');
like(error_of('flapping'), qr/could not be started/, 'a service that cannot be started shows failed');
like(waiting_for('flapping'), qr/its API failed: .*could not be started.*; attempt/, 'and says so');
$t->until(q{SELECT attempt > 3 FROM hafstack.container WHERE app = 'flapping'}, 'and is tried again for ever');
PostgreSQL::Test::Utils::append_to_file("$t->{marks}/program", "#!/bin/sh\necho x >> /marks/flapping-api\nwhile :; do sleep 0.1; done\n");
chmod 0755, "$t->{marks}/program";
$t->until_phase('flapping', 'serving');
$t->until(q{SELECT NOT failed AND error IS NULL FROM hafstack.app WHERE name = 'flapping'}, 'up again, it has not failed');
is(container('flapping', 'error IS NULL'), 't', 'nor has it an error');
is($t->starts('flapping', 'api'), 1, 'it was started once');
my $attempt = container('flapping', 'attempt');
$t->docker('kill', 'preflight-flapping-api');
$t->until(qq{SELECT attempt > $attempt AND state = 'running' FROM hafstack.container WHERE app = 'flapping'}, 'killed, it is brought back');
is($t->phase('flapping'), 'serving', 'and its app serves on');

SKIP:
{
	skip 'this Engine cannot limit memory', 2 unless $t->docker('info', '--format', '{{.MemoryLimit}}') eq 'true';
	app('greedy', setup => $t->spec('greedy', 'setup', 'tail /dev/zero', HostConfig => host('"Memory": 12582912, "MemorySwap": 12582912')));
	until_failed('greedy');
	like(error_of('greedy'), qr/out of memory/, 'a container that ran out of memory says so');
	$t->sql(q{SELECT hafstack.remove_app('greedy')});
}

my $port = 20000 + int rand 12000;
my $published = qq("NetworkMode": "$network", "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "$port"}]});
app('port', api => $t->spec('port', 'api', $up, ExposedPorts => '{"80/tcp": {}}', HostConfig => host($published)));
$t->until_phase('port', 'serving');
app('same', api => $t->spec('same', 'api', $up, ExposedPorts => '{"80/tcp": {}}', HostConfig => host($published)));
until_failed('same');
like(error_of('same'), qr/could not be started:.*port is already allocated/, 'a port that is taken');
like(waiting_for('same'), qr/port is already allocated/, 'is named in waiting_for');
$t->sql(q{SELECT hafstack.remove_app('port')});
$t->until_phase('same', 'serving');
pass('free again, it is had without a call');

$t->done;
$t->docker('network', 'rm', $network);
$t->docker('rmi', $absent, $other);
done_testing();

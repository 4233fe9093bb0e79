# The bundled topology with real containers over one data directory: the chain, and what can happen to it.
use strict;
use warnings;

use Bundled;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'there is no image hafstack-test/haf17' unless Bundled::available();

my $b = Bundled->new('chain', conf => 'hafstack.max_attempts = 3');
my ($instance, $slow) = qw(chain-instance chain-app-b-index);

$b->script('a', 'psql -qU haf_admin haf_block_log -c "CREATE INDEX fast ON hafd.blocks (created_at)"');
$b->script('b', 'until [ -e /shared/b.go ] && psql -qU haf_admin haf_block_log -c "SELECT"; do rm /shared/b.fail 2>/dev/null && exit 1; sleep 0.2; done');
$b->script('c', 'echo c was here; [ -e /shared/c.mended ]');
for my $app (qw(a b c))
{
	my $spec = $b->index_spec($app);
	$b->sql(qq{SELECT hafstack.register_app('app-$app', index => '$spec')});
}

# ---- The way there.
my $was = $b->inspect($b->{first}, '{{.Id}}');
$b->sql('SELECT hafstack.start()');
$b->until(q{SELECT phase = 'index_built' FROM hafstack.app WHERE name = 'app-a'}, 'a script that ends at once is seen by the next container');
is($b->starts('a'), 1, 'it ran once');
is($b->inspect($b->{first}, '{{.HostConfig.RestartPolicy.Name}} {{.State.Running}}'), 'no false',
	"the operator's container does not run, nor will it come back by itself");
$b->until(q{SELECT state = 'removed' AND log LIKE '%running /shared/a%' FROM hafstack.container WHERE app = 'app-a'},
	'its log is stored, then it is removed');
$b->until_inspect($slow, '{{.State.Running}}', qr/true/, 'the slow one runs');
like($b->inspect($slow, '{{json .HostConfig.Mounts}}'), qr/chain-data.*\/home\/hived\/datadir/, 'over the same volume');
like($b->inspect($slow, '{{json (index .NetworkSettings.Networks "chain-net").Aliases}}'), qr/"chain-haf"/,
	"and it answers under the operator's container's name");
is($b->inspect($slow, '{{.HostConfig.ShmSize}} {{.HostConfig.Init}} {{.Config.StopSignal}} {{index .Config.Labels "com.docker.compose.project"}}'),
	'134217728 true SIGINT ', 'shared memory, init and signal are as they were; Compose does not know it');

# ---- The operator starts his old container by hand.
$b->{ignored} = [$b->{first}];
$b->docker('start', $b->{first});
$b->until_inspect($b->{first}, '{{.State.Running}}', qr/false/, 'the old container, started by hand, does not stay');
like($b->logs($b->{first}), qr/is in use by another server/, 'the lock on the data directory kept its server out');
is($b->inspect($slow, '{{.State.Running}}'), 'true', 'the index build went on');
$b->overlaps;
$b->{ignored} = [];

# ---- kill -9 of the hand-off program.
$b->kill_handoff('in an index build');
is($b->inspect($slow, '{{.State.Running}} {{.RestartCount}}'), 'true 0', 'the index build went on');

# ---- kill -9 of the server: the script fails, and is run again.
$b->touch('b.fail');
$b->exec('sh', '-c', 'kill -9 $(head -n 1 /home/hived/datadir/haf_db_store/pgdata/postmaster.pid)');
$b->{kills}++;
$b->until_true(sub { $b->starts('b') == 2 }, 'an index build whose server was killed ends, and is tried again');
is(join(' ', $b->where), $slow, 'in the same container');

# ---- The daemon is killed, with everything: the host's reboot.
my $before = $b->starts('b');
$b->engine('kill9');
$b->engine('up');
$b->touch('b.go');
$b->until(q{SELECT phase = 'index_built' FROM hafstack.app WHERE name = 'app-b'}, 'the chain goes on after a crash of the daemon');
cmp_ok($b->starts('b'), '>', $before, 'the build that it interrupted was run again');

# ---- A script that fails.
$b->until(q{SELECT failed FROM hafstack.app WHERE name = 'app-c'}, 'a build that fails each time makes its app failed');
is($b->starts('c'), 3, 'after all attempts');
is(join(' ', $b->where), 'chain-recovery', 'the recovery container runs');
like($b->sql(q{SELECT hafstack.logs('app-c', 'index')}), qr/c was here/, 'its log can be read');
like($b->sql(q{SELECT detail FROM hafstack.event WHERE kind = 'failure' AND app = 'app-c'}), qr/exited with code 1/, 'an event says so');
like($b->sql(q{SELECT waiting_for FROM hafstack.apps WHERE name = 'app-c'}), qr/retry\('app-c'\)/, 'and what to do');
$b->touch('c.mended');
$b->sql(q{SELECT hafstack.retry('app-c')});
$b->until(q{SELECT haf_state IS NOT NULL FROM hafstack.worker_view()}, 'after retry() the chain goes on to HAF');
is($b->starts('c'), 4, 'the build was run once more');
is(join(' ', $b->where), $instance, 'HAF runs');
is($b->inspect($instance, '{{.HostConfig.RestartPolicy.Name}} {{json .Config.Cmd}}'), 'unless-stopped []',
	'with hived, and as the container before it is brought back');
$b->until(q{SELECT count(*) = 2 FROM hafstack.container WHERE role IN ('recovery', 'handoff') AND state = 'removed'},
	'recovery container and hand-off program are removed');
$b->until(q{SELECT haf_state IS NOT NULL FROM hafstack.worker_view()}, 'hived has connected');

# ---- A late index, with hived running.
$b->script('d', 'echo late');
my $late = $b->index_spec('d');
$b->sql(qq{SELECT hafstack.register_app('app-d', index => '$late')});
$b->sql('SELECT hafstack.stop()');
$b->until(q{SELECT phase = 'idle' FROM hafstack.stack}, 'stop() leaves the container that the server runs in');
is(join(' ', $b->where), $instance, 'it runs still');
$b->sql('SELECT hafstack.start()');
is($b->sql('SELECT running FROM hafstack.stack'), 'f', 'a running hived is not stopped by a plain start()');
$b->sql('SELECT hafstack.start(restart_haf => true)');
$b->until(q{SELECT s.phase <> 'index_build' AND a.phase NOT IN ('registered', 'index_build') AND h.state = 'running'
	FROM hafstack.stack s, hafstack.app a, hafstack.container h
	WHERE a.name = 'app-d' AND h.role = 'instance'}, 'start(restart_haf => true) builds it, and HAF comes back');
is($b->starts('d'), 1, 'it ran once');
is(join(' ', $b->where), $instance, 'HAF runs');
is($b->inspect($instance, '{{.HostConfig.RestartPolicy.Name}}'), 'unless-stopped', 'with its restart policy');

is_deeply([$b->overlaps], [], 'never did two containers with the data directory run at the same time');
is($b->inspect($b->{first}, '{{.Id}}'), $was, "the operator's container was left where it was");
$b->done;
done_testing();

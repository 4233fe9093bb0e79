# The bundled topology and its operator: skip(), hold() and release(), pause() and stop() while a chain is under way, and a
# first container that is in several networks.
use strict;
use warnings;

use Bundled;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'there is no image hafstack-test/haf17' unless Bundled::available();

my $b = Bundled->new('ops', conf => 'hafstack.max_attempts = 2', stop_timeout => 10,
	aliases => ['haf-db'], networks => { 'ops-back' => [ 'db', 'haf.back' ], 'ops-side' => [] });
my ($instance, $handoff) = qw(ops-instance ops-handoff);

sub found_everywhere
{
	my ($where) = @_;
	is(join(', ', map { $b->answers($_) } qw(ops-haf haf-db db haf.back)), join(', ', ('it is haf_block_log') x 4),
		"in $where: the database answers under each name");
	my ($container) = $b->where;
	is_deeply([sort split / /, $b->inspect($container, '{{range $n, $e := .NetworkSettings.Networks}}{{$n}} {{end}}')],
		[qw(ops-back ops-net ops-side)], 'in all networks');
}

sub made { return join ' ', sort grep { /^ops-app-.*-index$/ } split /\n/, $b->docker('ps', '--all', '--format', '{{.Names}}'); }
sub waiting_for { return $b->sql("SELECT waiting_for FROM hafstack.apps WHERE name = 'app-$_[0]'"); }

$b->script('a', 'until [ -e /shared/a.go ]; do sleep 0.1; done');
$b->script('f', 'until [ -e /shared/f.go ]; do sleep 0.1; done; false');
$b->script('g', 'until [ -e /shared/g.go ]; do sleep 0.1; done');
$b->script($_, 'true') for qw(h k z);
for my $app (qw(a f g h k z))
{
	my $spec = $b->index_spec($app);
	$b->sql(qq{SELECT hafstack.register_app('app-$app', index => '$spec')});
}
found_everywhere('the first container');

# ---- Apps on hold are left out of the chain.
$b->sql(q{SELECT hafstack.hold('app-h'), hafstack.hold('app-z')});
$b->sql('SELECT hafstack.start()');
$b->until_true(sub { $b->starts('a') == 1 }, 'the chain has begun');
$b->until('SELECT true', 'the server is there');
is(made(), join(' ', map { "ops-app-$_-index" } qw(a f g k)), 'nothing is made for apps on hold');
like(waiting_for('h'), qr/release\('app-h'\)/, 'which their waiting_for says');
found_everywhere('an index build');

# ---- pause(): the program goes first.  When the build ends nothing follows, and the database is gone until somebody acts.
$b->until(q{SELECT state = 'running' FROM hafstack.container WHERE role = 'handoff'}, 'the worker sees the hand-off program');
$b->sql('SELECT hafstack.pause()');
$b->until_inspect($handoff, '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}', qr/^false no$/, 'pause() stops the program for good');
$b->touch('a.go');
$b->until_true(sub { !$b->where }, 'the index build ends, and its container with it');
sleep 2;
is(join(' ', $b->where) . ' ' . $b->starts('f'), ' 0', 'nothing is started while the stack is paused');
$b->docker('start', $handoff);
$b->until_true(sub { $b->starts('f') == 1 }, 'the program, started by hand, goes on from its record');
$b->until_inspect($handoff, '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}', qr/^false no$/, 'the stack is paused still: the next worker stops it again');
is($b->sql(q{SELECT phase FROM hafstack.app WHERE name = 'app-a'}), 'index_built', 'the build that ended meanwhile was recorded');
$b->sql('SELECT hafstack.resume()');
$b->until_inspect($handoff, '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}', qr/^true always$/, 'resume() starts it');

# ---- stop() and start(): the same.
$b->until(q{SELECT state = 'running' FROM hafstack.container WHERE role = 'handoff'}, 'the worker sees it');
$b->sql('SELECT hafstack.stop()');
$b->until_inspect($handoff, '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}', qr/^false no$/, 'stop() stops the program for good');
$b->until(q{SELECT phase = 'idle' FROM hafstack.stack}, 'the stack is idle');
is(join(' ', $b->where), 'ops-app-f-index', 'the index build goes on');
$b->sql('SELECT hafstack.start()');
$b->until_inspect($handoff, '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}', qr/^true always$/, 'start() starts the program');
is($b->starts('f'), 1, 'the index build went on all the while');

# ---- A build that fails for good is skipped; what is made then is made of those that are not on hold.
$b->sql(q{SELECT hafstack.hold('app-k')});
$b->touch('f.go');
$b->until(q{SELECT failed FROM hafstack.app WHERE name = 'app-f'}, 'a build that fails each time makes its app failed', 60);
is(join(' ', $b->where), 'ops-recovery', 'the recovery container runs');
found_everywhere('the recovery container');
is(join(' ', map { $b->starts($_) } qw(f g h k z)), '2 0 0 0 0', 'nothing behind it was built');
$b->sql(q{SELECT hafstack.release('app-h')});
like(waiting_for('h'), qr/app-f/, 'an app that is released waits for the failed one');
$b->sql(q{SELECT hafstack.skip('app-f')});
$b->until_true(sub { $b->starts('g') == 1 }, 'skip() goes on with the next build');
is($b->sql(q{SELECT phase FROM hafstack.app WHERE name = 'app-f'}), 'index_built', 'the skipped one counts as built')
  if $b->until('SELECT true', 'the server is there');

# ---- hold() of an app whose build the program has been given already: it is built, and no more comes of it.
$b->until(q{SELECT state = 'running' FROM hafstack.container WHERE app = 'app-g'}, 'the build that runs is recorded');
$b->sql(q{SELECT hafstack.hold('app-h')});
$b->touch('g.go');
$b->until(q{SELECT haf_state IS NOT NULL FROM hafstack.worker_view()}, 'the chain goes on to HAF', 60);
is(join(' ', map { $b->starts($_) } qw(a f g h k z)), '1 2 1 1 0 0', 'each index build ran as often as it had to; those on hold, only what was under way');
found_everywhere('HAF');
$b->until(q{SELECT phase = 'haf_sync' FROM hafstack.stack}, 'apps on hold hold nobody up');
$b->sql(q{SELECT hafstack.release('app-h')});
$b->until(q{SELECT phase NOT IN ('registered', 'index_build') FROM hafstack.app WHERE name = 'app-h'}, 'released, the app goes on from there');

# ---- release() when hived has begun.
$b->sql(q{SELECT hafstack.release('app-z')});
$b->until(q{SELECT waiting_for LIKE '%start(restart_haf => true)%' FROM hafstack.apps WHERE name = 'app-z'},
	'released when hived has begun, it waits, and says for what', 30);
is($b->starts('z'), 0, 'hived was not stopped for it');
is(join(' ', $b->where), $instance, 'HAF runs');
$b->rules_hold;
$b->done;
done_testing();

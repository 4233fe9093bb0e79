# The bundled topology when things are killed at the worst of moments: while a container that has the data directory is being
# stopped, and when the daemon goes down and takes its time over it.
use strict;
use warnings;

use Bundled;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'there is no image hafstack-test/haf17' unless Bundled::available();

my $port = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport;
my $b = Bundled->new('kills', port => $port, stop_timeout => 6, conf => 'hafstack.max_attempts = 3');
my ($first, $instance, $handoff) = ($b->{first}, qw(kills-instance kills-handoff));
my ($slow, $last) = qw(kills-app-a-index kills-app-c-index);

# hived connects once in each life of HAF's container, when the server in it has been restarted for good.
my $lives = 0;

sub haf_is_up
{
	my ($what) = @_;
	$lives++;
	is(join(' ', $b->where), $instance, 'alone') if $b->until("SELECT count(*) = $lives FROM hafd.hived_connections", $what, 60);
}

sub here
{
	my ($when) = @_;
	is($b->answers($first), 'it is haf_block_log', "the database answers under its name $when");
	is($b->answers('127.0.0.1', $port), 'it is haf_block_log', 'and at its port');
}

$b->script('a', 'until [ -e /shared/a.go ]; do sleep 0.1; done');
$b->script('b', 'true');
$b->script('c', '[ -e /shared/c.mended ]');
$b->script('d', 'true');
for my $app (qw(a b c))
{
	my $spec = $b->index_spec($app);
	$b->sql(qq{SELECT hafstack.register_app('app-$app', index => '$spec')});
}
here('before');

# ---- The operator's container is being stopped, and its server is in no hurry: the hand-off program is killed.
$b->slow_stop;
$b->sql('SELECT hafstack.start()');
$b->until_handoff(qr/stopping \Q$first\E/, 'the first container is being stopped');
$b->kill_handoff('while its server shuts down');
$b->until_handoff(qr/going on from .* stopping \Q$first\E/s, 'and waits for it again');
is($b->inspect($first, '{{.State.Running}}') . ' ' . $b->starts('a'), 'true 0', 'it ran all the while, and nothing else');
$b->stop_now;
$b->kill_handoff('as that server ends');
$b->until_inspect($slow, '{{.State.Running}}', qr/true/, 'then the first index build runs');
$b->until('SELECT true', 'the server is there');
here('in the index build');

# ---- The daemon is restarted in the middle of it.  The builder ignores the signal, and is killed in the end.
$b->engine('restart');
$b->until_true(sub { $b->starts('a') == 2 }, 'the index build that a restart of the daemon cut short is run again');
$b->until('SELECT true', 'the server is there');
here('after that');
isnt($b->inspect($first, '{{.State.Running}}'), 'true', 'the first container did not come back');

# ---- The host is reset in the middle of it; a build that was cut off so is not taken for one that has ended well.
$b->engine('crash');
$b->engine('up');
$b->until_true(sub { $b->starts('a') == 3 }, 'the index build that a crash of the host cut short is run again');
$b->touch('a.go');
$b->kill_handoff('as the build ends');

# ---- The recovery container is being stopped, and all is lost: the host is reset.
$b->until(q{SELECT failed FROM hafstack.app WHERE name = 'app-c'}, 'the third build fails for good', 60);
is(join(' ', $b->where), 'kills-recovery', 'the recovery container runs');
$b->touch('c.mended');
$b->slow_stop;
$b->sql(q{SELECT hafstack.retry('app-c')});
$b->until_handoff(qr/stopping kills-recovery/, 'the recovery container is being stopped');
is($b->inspect('kills-recovery', '{{.State.Running}}'), 'true', 'it runs still');
$b->engine('crash');
$b->engine('up');
haf_is_up('after a crash of the host the chain goes on to HAF');
is($b->starts('c'), 4, 'the build was run once more');
here('in HAF');

# ---- The daemon is restarted while HAF runs.
$b->until(q{SELECT count(*) = 2 FROM hafstack.container WHERE role IN ('recovery', 'handoff') AND state = 'removed'}, 'the chain is over', 60);
my $started = $b->inspect($instance, '{{.State.StartedAt}}');
$b->engine('restart');
$b->until_inspect($instance, '{{.State.Running}} {{.State.StartedAt}}', qr/^true (?!\Q$started\E)/, 'a restart of the daemon restarts HAF');
haf_is_up('and HAF comes up');
here('after that');

# ---- HAF is being stopped for a late index: the daemon is killed, and what ran runs on without it.
my $late = $b->index_spec('d');
$b->sql(qq{SELECT hafstack.register_app('app-d', index => '$late')});
$b->sql('SELECT hafstack.stop()');
$b->until(q{SELECT phase = 'idle' FROM hafstack.stack}, 'the stack is idle');
$b->slow_stop;
$b->sql('SELECT hafstack.start(restart_haf => true)');
$b->until_handoff(qr/stopping $instance/, 'HAF is being stopped');
$b->kill_handoff('while HAF shuts down');
$b->until_handoff(qr/going on from .* stopping $instance/s, 'and waits for it again');
is($b->inspect($instance, '{{.State.Running}}') . ' ' . $b->starts('d'), 'true 0', 'it runs still, and nothing else');
$b->engine('kill9');
$b->stop_now;
$b->engine('up');
haf_is_up('after a crash of the daemon the index is built, and HAF comes back');
is($b->sql(q{SELECT phase NOT IN ('registered', 'index_build') FROM hafstack.app WHERE name = 'app-d'}), 't', 'the index is built');
is($b->inspect($instance, '{{.HostConfig.RestartPolicy.Name}}'), 'unless-stopped', 'with its restart policy');
here('at the end');

is(join(' ', map { $b->starts($_) } qw(a b c d)), '3 1 4 1', 'each index build ran as often as it had to');
$b->rules_hold;
$b->done;
done_testing();

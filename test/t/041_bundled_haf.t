# The bundled topology: HAF that does not stay up, pause(), and who finds the database under which name.
use strict;
use warnings;

use Bundled;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'there is no image hafstack-test/haf17' unless Bundled::available();

my $b = Bundled->new('ends', conf => 'hafstack.max_attempts = 2');
my ($instance, $handoff) = qw(ends-instance ends-handoff);

$b->script('a', 'until [ -e /shared/a.go ]; do sleep 0.2; done');
my $spec = $b->index_spec('a');
$b->sql(qq{SELECT hafstack.configure(haf => '{"Cmd": ["--nonsense"]}')});
$b->sql(qq{SELECT hafstack.register_app('app-a', index => '$spec')});
$b->sql('SELECT hafstack.start()');
$b->until_true(sub { $b->starts('a') == 1 }, 'the index build runs');

# Any container of the network finds the server under the operator's name.
like($b->docker('run', '--rm', '--network', 'ends-net', 'hafstack-test/haf17', '--execute-maintenance-script=/bin/true'),
	qr/ended with 0/, 'a bystander with a data directory of its own may run');
is($b->docker('run', '--rm', '--network', 'ends-net', '--entrypoint', 'psql', 'hafstack-test/haf17',
		'-qAtX', '-h', 'ends-haf', '-U', 'haf_admin', '-d', 'haf_block_log', '-c', 'SELECT 1'), '1',
	"the server answers under the first container's name");

# ---- pause() and resume().
$b->until(q{SELECT state = 'running' FROM hafstack.container WHERE role = 'handoff'}, 'the worker sees the program');
$b->sql('SELECT hafstack.pause()');
$b->until_inspect($handoff, '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}', qr/^false no$/, 'pause() stops the hand-off program for good');
is(join(' ', $b->where), 'ends-app-a-index', 'the index build goes on');
$b->sql('SELECT hafstack.resume()');
$b->until_inspect($handoff, '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}', qr/^true always$/, 'resume() starts another');
is($b->starts('a'), 1, 'the index build went on all the while');
$b->touch('a.go');

# ---- HAF that does not stay up.
$b->until(q{SELECT haf_failed FROM hafstack.stack}, 'HAF that ends again and again is failed');
is(join(' ', $b->where), 'ends-recovery', 'the recovery container runs');
is($b->inspect($instance, '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}'), 'false no', 'and HAF will not come back beside it');
like($b->sql(q{SELECT hafstack.logs(NULL, 'instance')}), qr/unknown option --nonsense/, 'its log can be read');
like($b->sql(q{SELECT hafstack.status() -> 'haf' ->> 'waiting_for'}), qr/retry\(NULL\)/, 'and what to do');
is($b->sql(q{SELECT phase FROM hafstack.app WHERE name = 'app-a'}), 'index_built', 'the index build is done');

# ---- HAF that cannot even be started: no exit code tells the worker.
$b->sql(q{SELECT hafstack.configure(haf => '{"Entrypoint": ["/nonsense"], "HostConfig": {"Init": false}}')});
$b->sql('SELECT hafstack.retry(NULL)');
$b->until(q{SELECT haf_failed AND haf_error LIKE '%could not be started%' FROM hafstack.stack}, 'HAF that cannot be started is failed, too', 60);
like($b->sql(q{SELECT hafstack.logs(NULL, 'handoff')}), qr/ends-instance could not be started: .*no such file.*attempt 2 of 2/s, 'the log of the program tells why');
like($b->sql(q{SELECT hafstack.status() -> 'haf' ->> 'waiting_for'}), qr/retry\(NULL\)/, 'and what to do is said');
my $programs = $b->sql(q{SELECT attempt FROM hafstack.container WHERE role = 'handoff'});
sleep 1.5;
is(join(' ', $b->where) . ' ' . $b->sql(q{SELECT attempt FROM hafstack.container WHERE role = 'handoff'}), "ends-recovery $programs",
	'the recovery container stays');

# ---- Mended.
$b->sql(q{SELECT hafstack.configure(haf => 'null')});
$b->sql('SELECT hafstack.retry(NULL)');
$b->until(q{SELECT haf_state IS NOT NULL AND NOT haf_failed FROM hafstack.worker_view(), hafstack.stack}, 'mended, HAF takes over');
is(join(' ', $b->where), $instance, 'it runs');
is($b->starts('a'), 1, 'the index build did not run again');
is_deeply([$b->overlaps], [], 'never did two containers with the data directory run at the same time');
$b->done;
done_testing();

# The rules of the design's §2 with three apps and HAF in real containers, judged by the Engine's own log.
use strict;
use warnings;

use EngineLog;
use Hafstack;
use JSON::PP;
use Test::More;

my $t = Hafstack->new('rules', haf => 1, conf => "hafstack.max_attempts = 2\nhafstack.live_max_age = '30min'\n");
my $log;
# what takes its leave when it is asked to
my $up = q(trap \"exit 0\" TERM; while :; do sleep 0.1; done);

sub flag { my ($name) = @_; open my $file, '>', "$t->{marks}/$name" or die $!; close $file; }
sub until_flag { return "while [ ! -e /marks/$_[0] ]; do sleep 0.1; done"; }
sub context { my ($name) = @_; $t->sql("SELECT hive.app_create_context('$name', '$name')"); }

sub move
{
	my ($context, $block) = @_;
	$t->sql("UPDATE hafd.contexts SET current_block_num = $block, irreversible_block = $block WHERE name = '$context'");
}

sub phases
{
	my ($app) = @_;
	my $which = defined $app ? "app = '$app'" : 'app IS NULL';
	return $t->sql("SELECT string_agg(to_state, ' ' ORDER BY seq) FROM hafstack.event WHERE kind = 'phase' AND $which");
}

# The worker has had a look at HAF since now.
sub next_look
{
	my $now = $t->sql('SELECT clock_timestamp()');
	$t->until("SELECT (hafstack.status() #>> '{haf,observed_at}')::timestamptz > '$now'", 'the worker looked at HAF');
}

# ---- Registration: gamma has its place before beta, and needs it --------------------------------------------------------

$t->sql('CREATE SCHEMA ' . $_) for qw(ctx_alpha ctx_gamma ctx_delta);
my $listener = $t->node->background_psql('haf_block_log');
$listener->set_query_timer_restart;
$listener->query_safe('LISTEN hafstack');

my $instance = $t->spec('haf', 'instance', $up);
$t->sql("SELECT hafstack.configure(haf => '$instance')");

my %healthcheck = (Healthcheck =>
	'{"Test": ["CMD", "test", "-e", "/marks/healthy"], "Interval": 1000000000, "Timeout": 5000000000, "Retries": 1000}');
my $indexes = '[' . $t->spec('alpha', 'index', 'echo one; sleep 0.2') . ', ' . $t->spec('alpha', 'index', 'echo two') . ']';
my $apis = '[' . $t->spec('alpha', 'api', $up, %healthcheck) . ', '
  . $t->spec('alpha', 'api2', $up) . ']';
$t->sql("SELECT hafstack.register_app('alpha', contexts => '{ctx_alpha}', index => '$indexes',"
	  . " setup => '" . $t->spec('alpha', 'setup', 'echo alpha is set up; sleep 0.2') . "',"
	  . " sync => '" . $t->spec('alpha', 'sync', $up) . "', api => '$apis')");
$t->sql("SELECT hafstack.register_app('beta', place => 3,"
	  . " index => '" . $t->spec('beta', 'index', 'true') . "',"
	  . " setup => '" . $t->spec('beta', 'setup', 'echo beta is set up; sleep 0.2') . "',"
	  . " sync => '" . $t->spec('beta', 'sync', $up) . "',"
	  . " live_sync => '" . $t->spec('beta', 'live_sync', until_flag('beta-live')) . "',"
	  . " api => '" . $t->spec('beta', 'api', $up) . "')");
$t->sql("SELECT hafstack.register_app('gamma', place => 2, depends_on => '{beta}', contexts => '{ctx_gamma}',"
	  . " index => '" . $t->spec('gamma', 'index', 'true') . "',"
	  . " setup => '" . $t->spec('gamma', 'setup', 'echo gamma is set up; sleep 0.2') . "',"
	  . " sync => '" . $t->spec('gamma', 'sync', $up) . "')");
$t->sql('SELECT hafstack.start()');

# ---- Rule 1: index builds one at a time, in order, before hived -----------------------------------------------------

$t->until(q{SELECT state = 'running' FROM hafstack.container WHERE role = 'instance'}, 'HAF runs');
$log = EngineLog->read($t);
my @indexes = map { "rules-$_" } qw(alpha-index-1 alpha-index-2 gamma-index beta-index);
is(join(' ', $log->names('start')), join(' ', @indexes, 'rules-instance'), 'index builds start in app order, then HAF');
is(join(', ', $log->overlaps(qr/-index/)), '', 'no two index builds ran at once');
ok($log->before('die', 'rules-beta-index', 'start', 'rules-instance'), 'HAF starts when the last index build has ended');

# ---- Rule 2: each condition of "HAF is live" by itself holds all setups ----------------------------------------------

sub holds
{
	my ($what, $words, $sql) = @_;
	$t->sql($sql);
	$t->until("SELECT hafstack.status() #>> '{haf,waiting_for}' LIKE '%$words%'", "$what: status says so");
	next_look();
	is(phases(undef), 'preflight index_build haf_sync', "$what: the stack waits for HAF");
}

holds('hived has not connected', 'has not connected', 'SELECT 1');
$t->haf_live(0);
holds('HAF in massive sync', 'REINDEX', 'SELECT 1');
holds('an index of HAF is missing', 'indexes or constraints to build', <<EOS);
INSERT INTO hafd.indexes_constraints (table_name, index_constraint_name, command, is_constraint, is_index, is_foreign_key, contexts)
  VALUES ('hafd.blocks', 'late', 'CREATE INDEX late ON hafd.blocks (hash)', false, true, false, '{0}');
UPDATE hafd.hive_state SET state = 'LIVE';
EOS
holds('its block is an hour old', 'live_max_age', <<EOS);
UPDATE hafd.blocks SET created_at = created_at - interval '1 h' WHERE num = 100;
UPDATE hafd.indexes_constraints SET status = 'created';
EOS
holds('hived connected before its container started', 'since its container was started', <<EOS);
UPDATE hafd.hived_connections SET time = now() - interval '1 day';
UPDATE hafd.blocks SET created_at = created_at + interval '1 h' WHERE num = 100;
EOS
is($t->containers('status=running'), 'rules-instance', 'nothing but HAF runs');
is(EngineLog->read($t)->count('start', 'rules-alpha-setup'), 0, 'no setup was started before HAF is live');
my $live_at = $t->sql('SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint');
$t->sql('UPDATE hafd.hived_connections SET time = now()');

# ---- Rules 3 and 4: setups one at a time in topological order, then all first syncs ----------------------------------

$t->until_phase($_, 'app_sync') for qw(alpha beta gamma);
my @syncs = map { "rules-$_-sync" } qw(alpha beta gamma);
my @setups = map { "rules-$_-setup" } qw(alpha beta gamma);
$t->until(q{SELECT count(*) = 3 FROM hafstack.container WHERE role = 'sync' AND was_up}, 'all syncs are up');
$log = EngineLog->read($t);
is(join(' ', grep { /-setup$/ } $log->names('start')), join(' ', @setups), 'setups in topological order, ties by place');
is(join(', ', $log->overlaps(qr/-setup/)), '', 'no two setups ran at once');
ok($log->at('start', $setups[0]) > $live_at, 'the first of them after HAF was live');
ok($log->before('die', $setups[2], 'start', $_), "$_ was started after the last setup ended") for @syncs;
is(scalar($log->overlaps(qr/(?<!live)-sync$/)), 3, 'syncs run side by side');

# ---- Rule 5: an API after its app was seen live; health gates the next container and serving ---------------------------

next_look();
is(join(' ', grep { /-api/ } EngineLog->read($t)->names('start')), '', 'no API while no app is live');
context($_) for qw(ctx_alpha ctx_gamma);
move('ctx_alpha', 98);
$t->until(q{SELECT blocks_behind = 2 FROM hafstack.apps WHERE name = 'alpha'}, 'alpha is two blocks behind');
next_look();
is($t->phase('alpha'), 'app_sync', 'two blocks behind is not live');
move('ctx_alpha', 99);
$t->until_phase('alpha', 'live');
$t->until(q{SELECT state = 'running' AND health = 'starting' FROM hafstack.container WHERE app = 'alpha' AND role = 'api' AND ordinal = 1},
	'its first API container is not healthy yet');
next_look();
is(EngineLog->read($t)->count('start', 'rules-alpha-api-2'), 0, 'so the second waits');
is($t->phase('alpha'), 'live', 'and the app does not serve');
like($t->sql(q{SELECT waiting_for FROM hafstack.apps WHERE name = 'alpha'}), qr/API.*not healthy/, 'and says why');
is($t->phase('beta'), 'app_sync', 'beta waits for its detector');
is(EngineLog->read($t)->count('start', 'rules-beta-api'), 0, 'without an API');
flag('healthy');
$t->until_phase('alpha', 'serving');
flag('beta-live');
$t->until_phase('beta', 'serving');
$log = EngineLog->read($t);
ok($log->before('die', 'rules-beta-live-sync', 'start', 'rules-beta-api'), 'its API came after its detector had ended');
is(phases(undef), 'preflight index_build haf_sync app_setup app_sync', 'the stack is not live before the last app');
move('ctx_gamma', 100);
$t->until_phase('gamma', 'live');
$t->until(q{SELECT phase = 'live' FROM hafstack.stack}, 'then it is');

# ---- Rule 6: log and exit code stored, successor created, then removed ------------------------------------------------

$t->until(q{SELECT bool_and(state = 'removed') FROM hafstack.container WHERE role IN ('index', 'setup', 'live_sync')},
	'all jobs are removed');
$log = EngineLog->read($t);
my @chain = (@indexes, 'rules-instance');
ok($log->before('create', $chain[$_ + 1], 'destroy', $chain[$_]), "$chain[$_ + 1] was created before $chain[$_] was removed")
  for 0 .. $#indexes;
@chain = (@setups, 'rules-gamma-sync');
ok($log->before('create', $chain[$_ + 1], 'destroy', $chain[$_]), "$chain[$_ + 1] was created before $chain[$_] was removed")
  for 0 .. $#setups;
ok($log->before('create', 'rules-beta-api', 'destroy', 'rules-beta-live-sync'), 'and so with detector and API');
is($t->sql("SELECT hafstack.logs('$_', 'setup')"), "$_ is set up\n", "the log of $_ outlives its container")
  for qw(alpha beta gamma);
is($t->sql(q{SELECT hafstack.logs('alpha', 'index', 2)}), "two\n", 'each of several by its number');
is($t->sql(q{SELECT string_agg(exit_code::text, ' ') FROM hafstack.container WHERE role IN ('index', 'setup', 'live_sync')}),
	'0 0 0 0 0 0 0 0', 'with every exit code');
is($t->containers, join(' ', sort('rules-instance', @syncs, map { "rules-$_" } qw(alpha-api-1 alpha-api-2 beta-api))),
	'the services are what is left');

# ---- Rule 4, later: an app that comes late goes alone ------------------------------------------------------------------

context('ctx_delta');
$t->sql("SELECT hafstack.register_app('delta', contexts => '{ctx_delta}', depends_on => '{gamma}',"
	  . " setup => '" . $t->spec('delta', 'setup', 'true') . "',"
	  . " sync => '" . $t->spec('delta', 'sync', $up) . "')");
$t->until_phase('delta', 'app_sync');
move('ctx_delta', 100);
$t->until_phase('delta', 'live');
$t->until(q{SELECT state = 'removed' FROM hafstack.container WHERE app = 'delta' AND role = 'setup'}, 'its setup is removed');
ok(EngineLog->read($t)->before('create', 'rules-delta-sync', 'destroy', 'rules-delta-setup'), 'after its sync was created');
is(phases(undef), 'preflight index_build haf_sync app_setup app_sync live', 'the stack stays where it was');
is(scalar(grep { !/delta/ } EngineLog->read($t)->names('start')), 15, 'the others were left alone');

# ---- Rule 6, where the successor cannot be made --------------------------------------------------------------------------

my $missing = "$t->{marks}/missing";
$t->sql("SELECT hafstack.register_app('epsilon', setup => '" . $t->spec('epsilon', 'setup', 'true') . "',"
	  . " sync => '" . $t->spec('epsilon', 'sync', $up,
		HostConfig => qq({"Binds": ["$t->{marks}:/marks"], "Mounts": [{"Type": "bind", "Source": "$missing", "Target": "/data"}]})) . "',"
	  . " live_sync => '" . $t->spec('epsilon', 'live_sync', 'true') . "')");
$t->until(q{SELECT failed FROM hafstack.container WHERE app = 'epsilon' AND role = 'sync'}, 'a sync cannot be created');
$t->until_phase('epsilon', 'app_sync');
next_look() for 1 .. 2;
is($t->containers('label=io.hafstack.app=epsilon', 'label=io.hafstack.role=setup'), 'rules-epsilon-setup', 'so the setup before it is not removed');
mkdir $missing;
$t->until_phase('epsilon', 'live');
$t->until(q{SELECT state = 'removed' FROM hafstack.container WHERE app = 'epsilon' AND role = 'setup'}, 'until it is');

# ---- Rule 9: each phase change is one row and one notification --------------------------------------------------------

my $all = 'index_build index_built app_setup setup_done app_sync live';
is(phases($_->[0]), $_->[1], "$_->[0] went through its phases, each once")
  for ['alpha', "$all serving"], ['beta', "$all serving"], ['gamma', $all], ['delta', $all =~ s/index_build //r];
is($t->sql(<<EOS), 0, 'each event begins where the one before it ended');
SELECT count(*) FROM (SELECT from_state, lag(to_state, 1, CASE WHEN app IS NULL THEN 'idle' ELSE 'registered' END)
  OVER (PARTITION BY app ORDER BY seq) AS before FROM hafstack.event WHERE kind = 'phase') AS e
WHERE from_state IS DISTINCT FROM before
EOS
my $known = $t->sql('SELECT max(seq) FROM hafstack.event');
my (@heard, %lacking);
for my $line (split /\n/, $listener->query_safe('SELECT 1'))
{
	my ($json) = $line =~ /^Asynchronous notification "hafstack" with payload "(.*)" received from/ or next;
	my $event = decode_json($json);
	last if $event->{seq} > $known;
	$lacking{ join ' ', sort keys %$event }++;
	push @heard, join '|', map { $event->{$_} // '' } qw(seq at kind app from to);
}
is(join(', ', keys %lacking), 'app at from kind seq to', 'a notification has the keys that are documented');
my ($first) = split /\|/, $heard[0];
is(join("\n", @heard), $t->sql(<<EOS), 'what was heard is what the table has, in its order');
SELECT seq, to_json(at) #>> '{}', kind, app, from_state, to_state FROM hafstack.event WHERE seq BETWEEN $first AND $known ORDER BY seq
EOS
is($t->starts('alpha', 'index'), 2, 'both index containers ran, once each');
is($t->starts($_, 'setup'), 1, "the setup of $_ ran once") for qw(alpha beta gamma delta);
$listener->quit;

# ---- Rules 3 and 11: a failed setup -------------------------------------------------------------------------------------

$t->sql("SELECT hafstack.remove_app('$_')") for qw(epsilon delta gamma beta alpha);
$t->until('SELECT count(*) = 0 FROM hafstack.app', 'all apps are removed');
is($t->containers, 'rules-instance', 'and their containers');
$t->sql('SELECT hafstack.stop()');
$t->until(q{SELECT phase = 'idle' FROM hafstack.stack}, 'the stack is stopped');

$t->sql("SELECT hafstack.register_app('one', setup => '" . $t->spec('one', 'setup', 'echo trouble; test -e /marks/mended') . "',"
	  . " sync => '" . $t->spec('one', 'sync', $up) . "', live_sync => '" . $t->spec('one', 'live_sync', 'true') . "')");
$t->sql("SELECT hafstack.register_app('two', depends_on => '{one}', setup => '" . $t->spec('two', 'setup', 'true') . "')");
$t->sql("SELECT hafstack.register_app('three', depends_on => '{two}', setup => '" . $t->spec('three', 'setup', 'true') . "')");
$t->sql("SELECT hafstack.register_app('four', setup => '" . $t->spec('four', 'setup', 'true') . "',"
	  . " sync => '" . $t->spec('four', 'sync', $up) . "', live_sync => '" . $t->spec('four', 'live_sync', 'true') . "')");
$t->sql('SELECT hafstack.start()');
$t->until(q{SELECT state = 'running' FROM hafstack.container WHERE role = 'instance'}, 'HAF runs again');
$t->sql('UPDATE hafd.hived_connections SET time = now()');
$t->until(q{SELECT failed FROM hafstack.app WHERE name = 'one'}, 'a setup fails');
$t->until_phase('four', 'setup_done');
next_look();
is($t->starts('one', 'setup'), 2, 'after max_attempts');
is($t->phase($_), 'index_built', "$_ waits for it") for qw(two three);
is(join(' ', grep { /-(two|three)-|-sync$/ } EngineLog->read($t)->names('start')), join(' ', grep { /-sync$/ } $log->names('start'), qw(rules-delta-sync rules-epsilon-sync rules-epsilon-live-sync)),
	'no setup of a dependant, and no first sync, was started');
is($t->containers('label=io.hafstack.app=one', 'label=io.hafstack.role=setup'), 'rules-one-setup', 'what failed stays to be looked at');
like($t->sql(q{SELECT waiting_for FROM hafstack.apps WHERE name = 'one'}), qr/exited with code 1.*hafstack\.retry\('one'\)/, 'status names the failure and the way out');
like($t->sql(q{SELECT waiting_for FROM hafstack.apps WHERE name = 'two'}), qr/depends on one, which failed.*retry\('one'\)/, 'a dependant names the culprit');
like($t->sql(q{SELECT waiting_for FROM hafstack.apps WHERE name = 'four'}), qr/one \(failed\).*retry\('one'\)/, 'so does who waits at the barrier');
is($t->sql(q{SELECT hafstack.logs('one', 'setup')}), "trouble\n", 'its log can be read');
is($t->sql(q{SELECT count(*) FROM hafstack.event WHERE kind = 'failure' AND app = 'one' AND to_state = 'failed'}), 1, 'one event tells of it');
like(PostgreSQL::Test::Utils::slurp_file($t->node->logfile), qr/one has failed: setup 1, rules-one-setup: exited with code 1/, 'and the server log');
flag('mended');
$t->sql(q{SELECT hafstack.retry('one')});
$t->until(q{SELECT phase = 'live' FROM hafstack.stack}, 'mended and tried again, all go on');
is($t->starts('one', 'setup'), 3, 'with one more attempt');
$log = EngineLog->read($t);
ok(($log->when("die", "rules-one-setup"))[2] < $log->at("start", "rules-two-setup"), "its dependant after it");
ok($log->before("die", "rules-two-setup", "start", "rules-three-setup"), "and that one's");
is($t->sql("SELECT failed OR haf_failed FROM hafstack.stack"), "f", "nothing is failed any more");

# ---- Rule 11: a service that falls again and again is never taken for one that is up ------------------------------------

$t->sql($_) for q(ALTER SYSTEM SET hafstack.retry_delay = '4s'), 'SELECT pg_reload_conf()';
$t->sql("SELECT hafstack.register_app('five', api => '[" . $t->spec('five', 'api', 'test -e /marks/repaired || exit 3; ' . $up)
	  . ", " . $t->spec('five', 'api2', $up) . "]')");
$t->until(q{SELECT attempt > 2 AND state = 'exited' FROM hafstack.container WHERE app = 'five' AND role = 'api' AND ordinal = 1},
	'an API falls at each attempt');
is($t->phase('five'), 'live', 'its app does not serve');
is($t->starts('five', 'api2'), 0, 'what waits for it was not started');
is($t->sql(q{SELECT count(*) FROM hafstack.event WHERE kind = 'failure' AND app = 'five'}), 1, 'that it failed was said once');
like($t->sql(q{SELECT waiting_for FROM hafstack.apps WHERE name = 'five'}), qr/exited with code 3/, 'and shows all the time');
flag('repaired');
$t->until_phase('five', 'serving');
is($t->sql(q{SELECT failed FROM hafstack.app WHERE name = 'five'}), 'f', 'repaired, it serves and is failed no longer');

$t->done;
done_testing();

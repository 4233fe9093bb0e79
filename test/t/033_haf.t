# What HAF's tables say, in every condition in which they can be found: the worker survives all of them, decides rightly,
# and waiting_for says what it sees.
use strict;
use warnings;

use Hafstack;
use Test::More;
use Time::HiRes qw(time sleep);

my $t = Hafstack->new('haf', conf => "hafstack.docker_timeout = '10s'\n");
my $node = $t->node;
my $serve = 'trap exit TERM; sleep 1000 & wait';

sub says
{
	my ($pattern, $what) = @_;
	$pattern =~ s/'/''/g;
	return $t->until("SELECT coalesce(hafstack.status() #>> '{haf,waiting_for}', '') ~ '$pattern'", $what, 20);
}

sub live { my ($yes, $what) = @_; return $t->until("SELECT hafstack.status() #>> '{haf,live}' = '$yes'", $what, 20); }
sub app_says
{
	my ($app, $pattern, $what) = @_;
	$pattern =~ s/'/''/g;
	return $t->until("SELECT coalesce(waiting_for, '') ~ '$pattern' FROM hafstack.apps WHERE name = '$app'", $what, 20);
}

my $sync = $t->spec('app', 'sync', $serve);
$t->sql("SELECT hafstack.register_app('app', contexts => '{first,second}', sync => '$sync')");
my $pid = $t->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hafstack worker'});
$t->sql('SELECT hafstack.start()');

# ---- missing, empty, on its way ----------------------------------------------------
says('HAF is not installed', 'HAF is missing');
$t->haf;
says('hived has not connected', 'HAF is empty');
my $index = $t->spec('late', 'index', 'true');
$t->haf_live(0);
says('state REINDEX at block 100', 'HAF replays');
like($t->sql_error("SELECT hafstack.register_app('late', index => '$index')"), qr/55000.*register_index_dependency/s,
	'an index role on a HAF that was filled is refused');
live('false', 'HAF is not live');
$t->sql('UPDATE hafd.hive_state SET is_dirty = true');
$t->until(q{SELECT (hafstack.status() #>> '{haf,dirty}')::bool}, 'a dirty HAF shows');
$t->sql('UPDATE hafd.hive_state SET is_dirty = false');

# LIVE is said before the indexes are built
$t->sql(q{INSERT INTO hafd.indexes_constraints VALUES
	('hafd.blocks', 'hive_some_idx', 'CREATE INDEX ...', false, true, false, '{0}', 'missing'),
	('hafd.blocks', 'app_idx', 'CREATE INDEX ...', false, true, false, '{77}', 'missing')});
$t->haf_live(1);
$t->sql(q{UPDATE hafd.indexes_constraints SET status = 'missing' WHERE index_constraint_name LIKE '%\_idx'});
says('indexes or constraints to build \(.*hive_some_idx', 'rows of context 0 are missing after LIVE');
$t->sql(q{UPDATE hafd.indexes_constraints SET status = 'creating' WHERE index_constraint_name = 'hive_some_idx'});
sleep 0.5;
is($t->sql(q{SELECT hafstack.status() #>> '{haf,live}'}), 'false', 'and creating is not created');
$t->sql(q{UPDATE hafd.indexes_constraints SET status = 'created' WHERE index_constraint_name = 'hive_some_idx'});
live('true', "an app's missing index does not matter");

# ---- after a restore: LIVE about an old block ------------------------------------------
$t->sql(q{UPDATE hafd.blocks SET created_at = created_at - interval '90 days'});
live('false', 'a restored snapshot says LIVE and is not');
says('older than hafstack.live_max_age', 'which waiting_for explains');
$t->sql('ALTER SYSTEM SET hafstack.live_max_age = 0; SELECT pg_reload_conf()');
live('true', 'without a limit of age it is');
$t->sql('ALTER SYSTEM RESET hafstack.live_max_age; SELECT pg_reload_conf()');
live('false', 'and with it not');
$t->sql(q{UPDATE hafd.hive_state SET state = 'START'});
says('state START', 'hived starts again');
$t->sql(q{SELECT hafstack.configure(haf_live_when => 'instance_ready')});
live('true', 'a fixed block is live when the instance is ready');
$t->sql('UPDATE hafd.hive_state SET is_dirty = true');
live('false', 'but not when it is dirty');
$t->sql('UPDATE hafd.hive_state SET is_dirty = false');
$t->sql(q{SELECT hafstack.configure(haf_live_when => 'live')});
$t->sql(q{UPDATE hafd.blocks SET created_at = created_at + interval '90 days'});
$t->haf_live(1);
live('true', 'HAF is live');

# ---- contexts ---------------------------------------------------------------------------
app_says('app', 'context "first" does not exist yet', 'a context that does not exist yet');
$t->sql('CREATE SCHEMA app');
$t->sql(q{SELECT hive.app_create_context('first', 'app'); SELECT hive.app_create_context('second', 'app')});
app_says('app', '100 blocks behind', 'contexts that are behind');
is($t->sql(q{SELECT blocks_behind FROM hafstack.apps}), 100, 'blocks_behind');
# ten blocks each half second, while HAF stands still
for my $block (map { 10 * $_ } 1 .. 8)
{
	$t->sql("UPDATE hafd.contexts SET current_block_num = $block");
	sleep 0.5;
}
$t->until(q{SELECT blocks_per_second BETWEEN 2 AND 40 FROM hafstack.apps}, 'blocks_per_second is sensible', 5);
my ($behind, $rate, $eta) = split /\|/,
  $t->sql(q{SELECT blocks_behind, blocks_per_second, extract(epoch FROM eta) FROM hafstack.apps});
is($behind, 20, 'blocks_behind follows');
cmp_ok(abs($eta - $behind / $rate), '<', 2, "eta ($eta s) is what remains over the rate ($rate)");
$t->sql(q{UPDATE hafd.contexts SET current_block_num = 100 WHERE name = 'first'});
app_says('app', '20 blocks behind', 'the slowest context counts');
# both at once: caught up and attached would be live
$t->sql(q{BEGIN; UPDATE hafd.contexts SET current_block_num = 99;
	UPDATE hafd.contexts_attachment SET is_attached = false WHERE context_id = (SELECT id FROM hafd.contexts WHERE name = 'second');
	COMMIT});
app_says('app', 'context "second" is detached', 'a detached context');
$t->sql(q{SELECT hafstack.alter_app('app', wait_for_indexes => true)});
$t->sql(q{UPDATE hafd.indexes_constraints SET status = 'missing', contexts = ARRAY[(SELECT id FROM hafd.contexts WHERE name = 'first')]
	WHERE index_constraint_name = 'app_idx'});
$t->sql(q{UPDATE hafd.contexts_attachment SET is_attached = true});
app_says('app', 'HAF still builds 1 of the indexes of context "first"', 'an index that is waited for');
is($t->phase('app'), 'app_sync', 'it is not live');
$t->sql(q{UPDATE hafd.indexes_constraints SET status = 'created'});
$t->until_phase('app', 'live');

# ---- HAF as one does not expect it ---------------------------------------------------------
for my $odd (
	[ 'ALTER TABLE hafd.hive_state DROP COLUMN pruning', 'without pruning' ],
	[ 'ALTER TABLE hafd.contexts_attachment RENAME TO contexts_attachment_away', 'without attachments' ],
	[ 'ALTER TABLE hafd.contexts RENAME TO contexts_away', 'without contexts' ],
	[ 'ALTER TABLE hafd.indexes_constraints DROP COLUMN contexts', 'with indexes that are all its own' ],
	[ 'ALTER TABLE hafd.indexes_constraints DROP COLUMN status', 'with indexes of no status' ],
	[ 'ALTER TABLE hafd.indexes_constraints RENAME TO indexes_constraints_away', 'without indexes' ],
	[ 'ALTER TABLE hafd.hived_connections RENAME TO hived_connections_away', 'without connections' ],
	[ 'ALTER TABLE hafd.blocks DROP CONSTRAINT pk_hive_blocks CASCADE', 'whose blocks have no index' ],
	[ 'ALTER TABLE hafd.blocks RENAME COLUMN created_at TO made_at', 'whose blocks have no time' ],
	[ 'ALTER TABLE hafd.blocks RENAME TO blocks_away', 'without blocks' ])
{
	my $now = $t->sql("$odd->[0]; SELECT clock_timestamp()");
	$t->until("SELECT (hafstack.status() #>> '{haf,observed_at}')::timestamptz > '$now'", "HAF $odd->[1] is read", 20);
	live('true', 'and counts as satisfied');
}
$t->sql('ALTER TABLE hafd.hive_state RENAME TO away;
	CREATE VIEW hafd.hive_state AS SELECT * FROM hafd.away');
says('HAF is not installed', 'a view is no table of HAF');
$t->sql('DROP VIEW hafd.hive_state; CREATE TABLE hafd.hive_state (id text, consistent_block text, is_dirty int, state text)');
$t->sql(q{INSERT INTO hafd.hive_state VALUES ('a', 'b', 1, 'LIVE')});
live('false', 'columns of other types are not read');
$t->sql('DROP TABLE hafd.hive_state; ALTER TABLE hafd.away RENAME TO hive_state');
live('true', 'HAF is as it was');
is($t->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hafstack worker'}), $pid, 'the worker lived through all of it');
is($t->sql('SELECT phase FROM hafstack.stack'), 'live', 'and the stack stayed where it was');

# ---- pruned -----------------------------------------------------------------------------------
$t->sql('ALTER TABLE hafd.hive_state ADD COLUMN pruning int NOT NULL DEFAULT 28800');
like($t->sql_error('SELECT hafstack.start()'), qr/55000.*--psql-prune-blocks/s, 'a pruned HAF is refused');
$t->sql('UPDATE hafd.hive_state SET pruning = 0');

# ---- hived in a container of ours -----------------------------------------------------------------
$t->sql('CREATE TABLE hafd.hived_connections (id serial, block_num int, git_sha text, time timestamp NOT NULL)');
$t->sql(q{INSERT INTO hafd.hived_connections (time) VALUES (now() - interval '1 day')});
my $hived = qq({"Image": "hafstack-test/busybox", "Cmd": ["sh", "-c", "$serve"]});
$t->sql("SELECT hafstack.configure(haf => '$hived')");
$t->until(q{SELECT state = 'running' FROM hafstack.container WHERE role = 'instance'}, 'our hived runs');
says('has not connected since its container was started', 'LIVE that an earlier hived left behind does not count');
$t->sql(q{INSERT INTO hafd.hived_connections (time) VALUES (now())});
live('true', 'when it has connected it does');

$t->done;
done_testing();

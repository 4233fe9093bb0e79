# Exactly once (rule 7), whatever is killed and whenever: worker, postmaster, Engine.  And only our own containers are
# touched (rule 8).
use strict;
use warnings;

use Hafstack;
use List::Util qw(shuffle);
use Test::More;
use Time::HiRes qw(time sleep);

my $seed = $ENV{HAFSTACK_SEED} || int(rand(1_000_000));
srand($seed);
diag("HAFSTACK_SEED=$seed");

my $t = Hafstack->new('crash', haf => 'empty', conf => "hafstack.max_attempts = 30\n");
my $node = $t->node;
my @apps = qw(aa bb);
my $serve = 'trap exit TERM; sleep 1000 & wait';
my %script = (index => 'work', setup => 'work', live_sync => 'work', sync => $serve, api => $serve);

# A job leaves a word when it is through; one that is signalled does not exit 0, as the manual asks of jobs.
sub spec
{
	my ($app, $role) = @_;
	my $script = $script{$role} eq 'work' ? qq{trap \\"exit 143\\" TERM; sleep 0.3; echo end >> /marks/$app-$role} : $script{$role};
	return $t->spec($app, $role, $script);
}

sub marks
{
	my ($app, $role) = @_;
	my $file = "$t->{marks}/$app-$role";
	return -e $file ? PostgreSQL::Test::Utils::slurp_file($file) : '';
}

sub worker_pid
{
	my (undef, $pid) = $node->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'hafstack worker'");
	return $pid || undef;
}

# To the database, as soon as it lets us.
sub ask
{
	my ($sql) = @_;
	for (1 .. 200)
	{
		my ($code, $out) = $node->psql('haf_block_log', $sql);
		return $out if $code == 0;
		sleep 0.1;
	}
	die "no answer to: $sql";
}

my %kill = (
	'worker terminated' => sub { my $pid = worker_pid() or return; ask("SELECT pg_terminate_backend($pid)"); },
	'worker killed' => sub { my $pid = worker_pid() or return; kill 'KILL', $pid; sleep 0.2; ask('SELECT 1'); },
	'postmaster killed' => sub { $t->kill9; sleep rand(0.5); $node->start; },
	'server restarted' => sub { $node->restart; },
	'Engine killed' => sub { $t->engine('kill9'); sleep rand(0.7); $t->engine('up'); },
	'Engine and postmaster killed' =>
	  sub { $t->kill9; $t->engine('kill9'); $node->start; sleep rand(0.5); $t->engine('up'); },
	'Engine killed, server restarted' =>
	  sub { $t->engine('kill9'); $node->stop('immediate'); $node->start; $t->engine('up'); },
	'Engine halted' => sub { $t->engine('restart'); });

my @duplicates;

sub look_for_duplicates
{
	my %seen;
	my $label = '{{.Label "io.hafstack.app"}}/{{.Label "io.hafstack.role"}}/{{.Label "io.hafstack.ordinal"}}';
	$seen{$_}++ for split /\n/,
	  $t->docker('ps', '--all', '--filter', 'label=io.hafstack.stack=crash', '--format', $label);
	push @duplicates, grep { $seen{$_} > 1 } keys %seen;
}

for my $app (@apps)
{
	my %spec = map { $_ => spec($app, $_) } keys %script;
	$t->sql("SELECT hafstack.register_app('$app', " . join(', ', map { "$_ => '$spec{$_}'" } sort keys %spec) . ')');
}
$t->sql('SELECT hafstack.start()');

# What an operator does about an outcome that cannot be known: he looks at what the job left.
sub decide_unknown
{
	for my $step (split /\n/, ask(q{SELECT app || '-' || role FROM hafstack.container
		WHERE failed AND error ~ 'outcome unknown' ORDER BY 1}))
	{
		my ($app, $role) = split /-/, $step;
		my $what = marks($app, $role) =~ /end\n\z/ ? 'skip' : 'retry';
		diag("outcome of $step unknown: $what");
		ask("SELECT hafstack.$what('$app')");
	}
}

# ---- the storm ----
my $live = 0;
my $kills = 0;
for my $what ((shuffle(keys %kill, 'worker terminated'))[0 .. ($ENV{HAFSTACK_KILLS} || 7) - 1])
{
	sleep 0.2 + rand(1.6);
	if (!$live && ask('SELECT phase FROM hafstack.stack') eq 'haf_sync')
	{
		$t->haf_live(1);
		$live = 1;
	}
	diag(sprintf '%.1f %s, in phase %s', time - $^T, $what, ask('SELECT phase FROM hafstack.stack'));
	$kill{$what}->();
	$kills++;
	look_for_duplicates();
	decide_unknown();
}
sleep 5;
decide_unknown();
if (!$live)
{
	$t->until(q{SELECT phase = 'haf_sync' FROM hafstack.stack}, 'all indexes are built', 120);
	$t->haf_live(1);
}
$t->until(q{SELECT bool_and(phase = 'serving') FROM hafstack.app}, "everything comes to its end after $kills kills", 120);
$t->until(q{SELECT bool_and(state = 'running') FROM hafstack.container WHERE role IN ('sync', 'api')}, 'all services run', 60);
look_for_duplicates();
is("@duplicates", '', 'no step ever had two containers');
for my $step (map { my $app = $_; map { "$app-$_" } qw(index setup live_sync) } @apps)
{
	# one that was signalled and exits 0 all the same counts as interrupted
	my ($app, $role) = split /-/, $step;
	my $interrupted = $t->sql("SELECT count(*) FROM hafstack.event WHERE app = '$app' AND to_state = 'exited'"
		. " AND detail LIKE '$role %' AND detail ~ 'after a signal|code 1(37|43)'");
	my $marks = marks($app, $role);
	my $ends = () = $marks =~ /end/g;
	ok($marks =~ /end\n\z/ && $ends - 1 <= $interrupted, "$role of $app never ran again after it was through")
	  or diag("interrupted $interrupted times, its marks: $marks");
}
is($t->sql(q{SELECT count(*) FROM hafstack.container WHERE role IN ('index', 'setup', 'live_sync') AND NOT done}), 0,
	'all jobs are done');
is($t->sql(q{SELECT string_agg(to_state, ' ' ORDER BY seq) FROM hafstack.event WHERE kind = 'phase' AND app = 'aa'}),
	'index_build index_built app_setup setup_done app_sync live serving', 'each phase change is one event, all the same');
# the last kill may have ended one whose row says so only after the next look
my $expected = join ' ', sort map { ("crash-$_-api", "crash-$_-sync") } @apps;
my ($running, $end) = ('', time + 60);
while ($running ne $expected && time < $end)
{
	$running = join ' ', sort split /\n/,
	  $t->docker('ps', '--filter', 'label=io.hafstack.stack=crash', '--format', '{{.Names}}');
	sleep 0.2;
}
is($running, $expected, 'the services run, and nothing else');

$t->done;
done_testing();

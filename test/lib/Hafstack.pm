# What the TAP tests share: a scratch PostgreSQL (PostgreSQL::Test::Cluster) with hafstack and the stand-in for HAF, and
# the real Engine that test/lib/control.sh runs (HAFSTACK_CONTROL names its folder).
#
#   my $t = Hafstack->new('rules', conf => "hafstack.max_attempts = 2\n", haf => 'live');
#   $t->sql(q{SELECT ...})                     as the database's owner, in haf_block_log; dies on an error
#   $t->sql_error(q{SELECT ...})               (SQLSTATE, message and hint in one text), dies when there is none
#   $t->until(q{SELECT ...}, 'what')           poll until it returns t; a failed test and status() after 60 s
#   $t->docker(qw(ps -a ...))                  the docker client on the Engine, its output chomped
#   $t->engine('kill9')                        kill9, up, halt, restart: to the Engine itself
#   $t->haf_live(1)                            HAF as hived leaves it when live (0: in REINDEX), head block new
#   $t->starts('app', 'role')                  how often such a container's process was started, from the marks it left
#   $t->kill9                                  kill the postmaster without warning, wait until its children are gone
#   $t->done                                   stop all, remove this test's containers
package Hafstack;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TestEngine;
use Time::HiRes qw(time sleep);

our @ISA = ('TestEngine');

sub new
{
	my ($class, $name, %options) = @_;
	my $self = bless { name => $name, database => 'haf_block_log' }, $class;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%{ $options{init} // {} });
	$self->{node} = $node;
	$self->{marks} = PostgreSQL::Test::Utils::tempdir('marks');
	chmod 0777, $self->{marks};
	$node->append_conf('postgresql.conf', <<EOC);
shared_preload_libraries = 'hafstack'
hafstack.docker_host = '@{[ TestEngine::host() ]}'
hafstack.retry_delay = '100ms'
hafstack.max_retry_delay = '1s'
hafstack.poll_interval = '100ms'
hafstack.resync_interval = '2s'
log_line_prefix = '%m [%p] %b %q%a '
restart_after_crash = on
timezone = 'UTC'
log_statement = none
@{[ $options{conf} // '' ]}
EOC
	return $self if $options{no_start};
	$node->start;
	return $self if $options{no_database};
	$node->safe_psql('postgres', 'CREATE DATABASE haf_block_log');
	$self->haf if $options{haf};
	$self->sql('CREATE EXTENSION hafstack');
	$self->haf_live(1) if ($options{haf} // '') eq 'live';
	$self->sql("SELECT hafstack.configure(name => '$name', helper_image => 'hafstack-test/busybox')")
	  unless $options{no_configure};
	return $self;
}

sub node { return $_[0]{node}; }

# The stand-in for HAF, empty: hived has not connected.
sub haf
{
	my ($self) = @_;
	$self->sql('CREATE EXTENSION hive_fork_manager');
}

sub haf_live
{
	my ($self, $live, $head) = @_;
	$head //= 100;
	$self->sql(<<EOS);
SET synchronous_commit = on;
INSERT INTO hafd.hived_connections (block_num, git_sha, time) SELECT $head, 'test', now()
  WHERE NOT EXISTS (SELECT FROM hafd.hived_connections);
INSERT INTO hafd.blocks SELECT n, '\\x00', '\\x00', (now() AT TIME ZONE 'UTC') - ($head - n) * interval '3 s', 1, '\\x00',
  NULL, '\\x00', 'x', 1, 1, 1, 1, 1, 1, 1, 1 FROM generate_series(1, $head) n
  ON CONFLICT (num) DO UPDATE SET created_at = excluded.created_at;
INSERT INTO hafd.hive_state (id, consistent_block, is_dirty, state, pruning)
  VALUES (1, $head, false, CASE WHEN $live = 1 THEN 'LIVE' ELSE 'REINDEX' END::hafd.sync_state, 0)
  ON CONFLICT (id) DO UPDATE SET consistent_block = excluded.consistent_block, state = excluded.state;
UPDATE hafd.indexes_constraints SET status = 'created';
EOS
}

sub sql
{
	my ($self, $sql) = @_;
	return $self->{node}->safe_psql($self->{database}, $sql);
}

sub sql_error
{
	my ($self, $sql) = @_;
	my ($code, $out, $err) = $self->{node}->psql($self->{database}, "\\set VERBOSITY verbose\n$sql", on_error_stop => 1);
	die "no error from: $sql\n" if $code == 0;
	return $err;
}

sub until
{
	my ($self, $sql, $what, $seconds) = @_;
	my $end = time + ($seconds // 60);
	my $answer;

	do
	{
		(undef, $answer) = $self->{node}->psql($self->{database}, $sql);
		return pass($what // $sql) if ($answer // '') eq 't';
		sleep 0.05;
	} while (time < $end);
	fail($what // $sql);
	diag("last answer: $answer");
	diag($self->sql('SELECT jsonb_pretty(hafstack.status())'));
	diag($self->sql('SELECT seq, kind, app, from_state, to_state, detail FROM hafstack.event ORDER BY seq DESC LIMIT 25'));
	return 0;
}

sub phase { return $_[0]->sql("SELECT phase FROM hafstack.app WHERE name = '$_[1]'"); }

sub until_phase
{
	my ($self, $app, $phase) = @_;
	return $self->until("SELECT phase = '$phase' FROM hafstack.app WHERE name = '$app'", "$app is $phase");
}

# Names of this test's containers that exist now, sorted.
sub containers
{
	my ($self, @filters) = @_;
	my $out = $self->docker('ps', '--all', '--filter', "label=io.hafstack.stack=$self->{name}",
		(map { ('--filter', $_) } @filters), '--format', '{{.Names}}');
	return join ' ', sort split /\n/, $out;
}

# A role spec of busybox that leaves a mark each time its process starts, then runs the script.
sub spec
{
	my ($self, $app, $role, $script, %more) = @_;
	my $json = join ', ', '"Image": "hafstack-test/busybox"',
	  qq{"Cmd": ["sh", "-c", "echo x >> /marks/$app-$role; $script"]},
	  qq{"HostConfig": {"Binds": ["$self->{marks}:/marks"]}}, map { qq{"$_": $more{$_}} } sort keys %more;
	return "{$json}";
}

sub starts
{
	my ($self, $app, $role) = @_;
	my $file = "$self->{marks}/$app-$role";
	return 0 unless -e $file;
	return scalar split /\n/, PostgreSQL::Test::Utils::slurp_file($file);
}

sub gone
{
	my ($pid) = @_;
	open my $stat, '<', "/proc/$pid/stat" or return 1;
	my $line = <$stat>;
	return !defined $line || $line =~ /\) Z /;
}

sub kill9
{
	my ($self) = @_;
	my $node = $self->{node};
	my ($pid) = split /\n/, PostgreSQL::Test::Utils::slurp_file($node->data_dir . '/postmaster.pid');
	my @children = split ' ', PostgreSQL::Test::Utils::slurp_file("/proc/$pid/task/$pid/children");

	$node->kill9;
	for my $process ($pid, @children)
	{
		for (1 .. 600) { last if gone($process); sleep 0.05; }
	}
	# Where nobody reaps orphans, pg_ctl takes the zombie for a running postmaster.
	unlink $node->data_dir . '/postmaster.pid', $node->host . '/.s.PGSQL.' . $node->port . '.lock';
}

sub done
{
	my ($self) = @_;
	my @left = split /\n/, $self->docker('ps', '--all', '--quiet', '--filter', "label=io.hafstack.stack=$self->{name}");

	$self->{node}->stop('immediate') if $self->{node};
	$self->docker('rm', '--force', @left) if @left;
}

1;

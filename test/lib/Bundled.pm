# What the tests of the bundled topology share: HAF-like containers (image hafstack-test/haf17) over one volume, on the
# Engine that test/lib/control.sh runs.
#
#   my $b = Bundled->new('chain', conf => "hafstack.max_attempts = 4\n");     the operator's container, --skip-hived
#   $b->sql(q{SELECT ...})             in whichever container the server runs in; '' where none answers
#   $b->until(q{SELECT ...}, 'what')   poll until it returns t; a failed test and status() after 180 s
#   $b->script('name', 'shell text')   a script in $b->{shared}, which containers see as /shared
#   $b->index_spec('name')             an index role that runs it
#   $b->host_kill9(PID)                kill -9 to a process of the Engine's host
#   $b->overlaps                       what the Engine's events say against rule 1, so far
#   $b->done
package Bundled;

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $control = $ENV{HAFSTACK_CONTROL} or die "HAFSTACK_CONTROL is not set: run these tests with ./run test\n";
my $image = 'hafstack-test/haf17';

sub available
{
	return system('docker', '--host', host(), 'image', 'inspect', '--format', 'ok', $image) == 0;
}

sub host
{
	my $text = PostgreSQL::Test::Utils::slurp_file("$control/host");
	chomp $text;
	return $text;
}

sub new
{
	my ($class, $name, %options) = @_;
	my $shared = PostgreSQL::Test::Utils::tempdir('shared');
	my $self = bless {
		name => $name, shared => $shared, first => "$name-haf", volume => "$name-data",
		running => {}, against => [], since => sprintf('%.6f', time)
	}, $class;
	my ($socket) = host() =~ m{^unix://(.*)};

	chmod 0777, $shared;
	# A subnet of its own: several Engines may run on this host.
	for (1 .. 20)
	{
		my $subnet = sprintf '10.%d.%d.0/24', 100 + int rand 100, int rand 256;
		$self->docker('network', 'create', '--subnet', $subnet, "$name-net");
		last unless $self->{docker_failed};
	}
	$self->docker('volume', 'create', $self->{volume});
	$self->docker('run', '--detach', '--name', $self->{first}, '--network', "$name-net", '--init',
		'--stop-signal', 'SIGINT', '--stop-timeout', '30', '--shm-size', '128m', '--restart', 'unless-stopped',
		'--volume', "$self->{volume}:/home/hived/datadir", '--volume', "$shared:/shared",
		'--volume', "$socket:/var/run/docker.sock", '--group-add', (stat $socket)[5],
		'--env', 'PG_ACCESS_ALL=host all all all trust', '--label', 'com.docker.compose.project=operator',
		$image, @{ $options{command} // ['--skip-hived'] });
	$self->until('SELECT true', 'the server answers');
	my $conf = join "\n", "hafstack.retry_delay = '200ms'", "hafstack.max_retry_delay = '500ms'",
	  "hafstack.resync_interval = '2s'", $options{conf} // '';
	$self->exec('sh', '-c', "cat >>/home/hived/datadir/haf_postgresql_conf.d/test.conf <<'E'\n$conf\nE\n");
	$self->sql('SELECT pg_reload_conf()');
	$self->sql('CREATE EXTENSION hafstack');
	$self->sql("SELECT hafstack.configure(name => '$name', topology => 'bundled')");
	return $self;
}

sub docker
{
	my ($self, @words) = @_;
	open my $pipe, '-|', 'docker', '--host', host(), @words or die "docker: $!";
	my $out = do { local $/; <$pipe> };
	close $pipe;
	$self->{docker_failed} = $?;
	$out //= '';
	chomp $out;
	return $out;
}

# Containers over the data that run now; those that an operator starts against the rules are not looked for.
sub where
{
	my ($self) = @_;
	my %hidden = map { $_ => 1 } "$self->{name}-handoff", @{ $self->{ignored} // [] };
	return grep { !$hidden{$_} } split /\n/,
	  $self->docker('ps', '--filter', "volume=$self->{volume}", '--format', '{{.Names}}');
}

sub exec
{
	my ($self, @command) = @_;
	my ($container) = $self->where;
	return '' unless defined $container;
	return $self->docker('exec', $container, @command);
}

sub sql
{
	my ($self, $sql) = @_;
	return $self->exec('psql', '--no-psqlrc', '-qAtX', '-U', 'haf_admin', '-d', 'haf_block_log', '-c', $sql);
}

sub until
{
	my ($self, $sql, $what, $seconds) = @_;
	my $end = time + ($seconds // 180);
	my $answer;

	do
	{
		$answer = $self->sql($sql);
		return pass($what) if $answer eq 't';
		$self->overlaps;
		sleep 0.3;
	} while (time < $end);
	fail($what);
	diag("last answer: $answer");
	diag($self->docker('ps', '--all', '--format', '{{.Names}}: {{.Status}}'));
	diag($self->logs("$self->{name}-handoff"));
	diag($self->sql('SELECT jsonb_pretty(hafstack.status())'));
	diag($self->sql('SELECT seq, kind, app, from_state, to_state, detail FROM hafstack.event ORDER BY seq DESC LIMIT 25'));
	return 0;
}

sub script
{
	my ($self, $name, $text) = @_;
	open my $file, '>', "$self->{shared}/$name" or die $!;
	print $file "#!/bin/bash\necho x >>/shared/$name.starts\n$text\n";
	close $file;
	chmod 0755, "$self->{shared}/$name";
}

sub index_spec { return qq({"Cmd": ["--execute-maintenance-script=/shared/$_[1]"]}); }

sub touch
{
	my ($self, $name) = @_;
	open my $file, '>', "$self->{shared}/$name" or die $!;
}

sub starts
{
	my ($self, $name) = @_;
	return 0 unless -e "$self->{shared}/$name.starts";
	return scalar split /\n/, PostgreSQL::Test::Utils::slurp_file("$self->{shared}/$name.starts");
}

# What a container said, both streams.
sub logs
{
	my ($self, $name, @options) = @_;
	my $host = host();
	return scalar `docker --host $host logs @options $name 2>&1`;
}

sub inspect { my ($self, $name, $format) = @_; return $self->docker('inspect', '--format', $format, $name); }

sub until_true
{
	my ($self, $test, $what) = @_;
	for (1 .. 400)
	{
		return pass($what) if $test->();
		sleep 0.3;
	}
	return fail($what);
}

sub until_inspect
{
	my ($self, $name, $format, $wanted, $what) = @_;
	$self->until_true(sub { $self->inspect($name, $format) =~ $wanted }, $what) or diag($self->inspect($name, $format));
}

sub host_kill9
{
	my ($self, $pid) = @_;
	$self->docker('run', '--rm', '--pid', 'host', '--network', 'none',
		'hafstack-test/busybox', 'kill', '-9', $pid);
}

sub engine
{
	my ($self, $word) = @_;
	$self->overlaps if $word ne 'up';
	open my $in, '>', "$control/in" or die "$control/in: $!";
	print $in "$word\n";
	close $in;
	my $answer = PostgreSQL::Test::Utils::slurp_file("$control/out");
	die "the Engine could not be asked to $word: see $control/control.log\n" unless $answer =~ /^ok/;
	# what ran has ended with the daemon, or is ended by the new one before it starts anything
	$self->{running} = {} if $word ne 'up';
}

# The Engine's events since the last look: which two containers ran over the data at one moment?
sub overlaps
{
	my ($self) = @_;
	my $now = sprintf '%.6f', time;
	my $events = $self->docker('events', '--since', $self->{since}, '--until', $now, '--filter', 'type=container',
		'--filter', 'event=start', '--filter', 'event=die', '--format', '{{.Action}} {{.Actor.Attributes.name}}');
	my %ignored = map { $_ => 1 } @{ $self->{ignored} // [] };

	$self->{since} = $now unless $self->{docker_failed};
	for my $line (split /\n/, $events)
	{
		my ($action, $name) = split / /, $line;
		next unless $name =~ /^\Q$self->{name}\E-(haf|instance|recovery|.*-index)$/ && !$ignored{$name};
		delete $self->{running}{$name} if $action eq 'die';
		next unless $action eq 'start';
		push @{ $self->{order} }, $name;
		push @{ $self->{against} }, map { "$_ and $name" } sort keys %{ $self->{running} };
		$self->{running}{$name} = 1;
	}
	return @{ $self->{against} };
}

sub done
{
	my ($self) = @_;
	my @left = grep { /^\Q$self->{name}\E-/ } split /\n/, $self->docker('ps', '--all', '--format', '{{.Names}}');

	$self->docker('rm', '--force', @left) if @left;
	$self->docker('volume', 'rm', $self->{volume});
	$self->docker('network', 'rm', "$self->{name}-net");
}

1;

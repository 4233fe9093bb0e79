# What the tests of the bundled topology share: HAF-like containers (image hafstack-test/haf17) over one volume, on the
# Engine that test/lib/control.sh runs.
#
#   my $b = Bundled->new('chain', conf => "hafstack.max_attempts = 4\n");     the operator's container, --skip-hived
#                                      aliases => [names], networks => { NETWORK => [names] }: how it is found; port => N: its
#                                      port on this host; stop_timeout => S; image => one that has the socket's group; preload => 'a setting';
#                                      run => [more words for docker run]
#   $b->sql(q{SELECT ...})             in whichever container the server runs in; '' where none answers
#   $b->until(q{SELECT ...}, 'what')   poll until it returns t; a failed test and status() after 180 s
#   $b->script('name', 'shell text')   a script in $b->{shared}, which containers see as /shared; it marks its start and its end
#   $b->starts('name'), $b->reruns     how often it was started; scripts that were, after they had ended with 0
#   $b->index_spec('name')             an index role that runs it
#   $b->slow_stop, $b->stop_now        from the one to the other the server that runs now does not come down when it is asked to
#   $b->host_kill9(PID)                kill -9 to a process of the Engine's host
#   $b->kill_handoff('when')           kill -9 to the hand-off program, and wait until the daemon has brought it back
#   $b->engine(WORD)                   as control.sh: kill9, crash, up, restart ...
#   $b->answers(NAME, PORT)            does the database answer there, asked from within the networks?  127.0.0.1: from this host
#   $b->overlaps                       what the Engine's events say against rule 1, so far
#   $b->rules_hold                     that, the lock, and the scripts: a test each
#   $b->done
package Bundled;

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TestEngine;
use Time::HiRes qw(time sleep);

our @ISA = ('TestEngine');
my $image = 'hafstack-test/haf17';

sub available
{
	return system('docker', '--host', TestEngine::host(), 'image', 'inspect', '--format', 'ok', $image) == 0;
}

sub new
{
	my ($class, $name, %options) = @_;
	my $shared = PostgreSQL::Test::Utils::tempdir('shared');
	my $self = bless {
		name => $name, shared => $shared, first => "$name-haf", volume => "$name-data",
		running => {}, against => [], since => sprintf('%.6f', time), made => [], scripts => [], kills => 0
	}, $class;
	my ($socket) = TestEngine::host() =~ m{^unix://(.*)};

	chmod 0777, $shared;
	$self->network($_) for "$name-net", sort keys %{ $options{networks} // {} };
	$self->docker('volume', 'create', $self->{volume});
	$self->docker('run', '--rm', '--network', 'none', '--volume', "$self->{volume}:/home/hived/datadir", '--env', "CONF=$options{preload}",
		'--entrypoint', 'sh', $image, '-c', 'cd /home/hived/datadir && mkdir haf_postgresql_conf.d && echo "$CONF" >haf_postgresql_conf.d/operator.conf')
	  if $options{preload};
	$self->docker('run', '--detach', '--name', $self->{first}, '--network', "$name-net", '--init',
		(map { ('--network-alias', $_) } @{ $options{aliases} // [] }),
		($options{port} ? ('--publish', "127.0.0.1:$options{port}:5432") : ()),
		'--stop-signal', 'SIGINT', '--stop-timeout', $options{stop_timeout} // 10, '--shm-size', '128m', '--restart', 'unless-stopped',
		'--volume', "$self->{volume}:/home/hived/datadir", '--volume', "$shared:/shared",
		'--volume', "$socket:/var/run/docker.sock", ($options{image} ? () : ('--group-add', (stat $socket)[5])),
		'--env', 'PG_ACCESS_ALL=host all all all trust', '--label', 'com.docker.compose.project=operator', @{ $options{run} // [] },
		$options{image} // $image, @{ $options{command} // ['--skip-hived'] });
	for my $network (sort keys %{ $options{networks} // {} })
	{
		$self->docker('network', 'connect', (map { ('--alias', $_) } @{ $options{networks}{$network} }), $network, $self->{first});
	}
	$self->until('SELECT true', 'the server answers', 60) or die $self->logs($self->{first});
	my $conf = join "\n", "hafstack.retry_delay = '200ms'", "hafstack.max_retry_delay = '500ms'",
	  "hafstack.resync_interval = '2s'", $options{conf} // '';
	$self->exec('sh', '-c', "cat >>/home/hived/datadir/haf_postgresql_conf.d/test.conf <<'E'\n$conf\nE\n");
	$self->sql('SELECT pg_reload_conf()');
	$self->sql('CREATE EXTENSION hafstack');
	$self->sql("SELECT hafstack.configure(name => '$name', topology => 'bundled')");
	return $self;
}

# A subnet of its own: several Engines may run on this host.
sub network
{
	my ($self, $name) = @_;
	for (1 .. 20)
	{
		my $subnet = sprintf '10.%d.%d.0/24', 100 + int rand 100, int rand 256;
		$self->docker('network', 'create', '--subnet', $subnet, $name);
		last unless $self->{docker_failed};
	}
	push @{ $self->{made} }, $name;
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
	print $file "#!/bin/bash\necho start >>/shared/$name.ran\n(\n$text\n) || exit\necho end >>/shared/$name.ran\n";
	close $file;
	push @{ $self->{scripts} }, $name;
	chmod 0755, "$self->{shared}/$name";
}

sub index_spec { return qq({"Cmd": ["--execute-maintenance-script=/shared/$_[1]"]}); }

sub touch
{
	my ($self, $name) = @_;
	open my $file, '>', "$self->{shared}/$name" or die $!;
}

sub ran
{
	my ($self, $name) = @_;
	return -e "$self->{shared}/$name.ran" ? split /\n/, PostgreSQL::Test::Utils::slurp_file("$self->{shared}/$name.ran") : ();
}

sub starts { my ($self, $name) = @_; return scalar grep { $_ eq 'start' } $self->ran($name); }
sub reruns { my ($self) = @_; return grep { join(' ', $self->ran($_)) =~ /end start/ } @{ $self->{scripts} }; }

# What a container said, both streams.
sub logs
{
	my ($self, $name, @options) = @_;
	my $host = TestEngine::host();
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

# The postmaster signals its children's process groups, so the program that its backend waits for has to be deaf.
sub slow_stop
{
	my ($self) = @_;
	my ($container) = $self->where;

	unlink "$self->{shared}/stop.now";
	$self->docker('exec', '--detach', $container, 'psql', '-qX', '-U', 'haf_admin', '-d', 'haf_block_log', '-c',
		q{COPY (SELECT 1) TO PROGRAM 'trap "" INT TERM QUIT; until [ -e /shared/stop.now ]; do sleep 0.1; done'});
	$self->until(q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT%')}, "the server of $container will be slow to stop");
}

sub stop_now { $_[0]->touch('stop.now'); }

sub kill_handoff
{
	my ($self, $when) = @_;
	my $program = "$self->{name}-handoff";
	my $pid = $self->inspect($program, '{{.State.Pid}}');

	$self->host_kill9($pid);
	$self->{kills}++;
	$self->until_inspect($program, '{{.State.Running}} {{.State.Pid}}', qr/^true (?!$pid$)\d/, "kill -9 of the hand-off program $when: it is brought back");
}

# Until the hand-off program is about to do so.
sub until_handoff
{
	my ($self, $words, $what) = @_;
	$self->until_true(sub { $self->logs("$self->{name}-handoff") =~ $words }, $what) or diag($self->logs("$self->{name}-handoff"));
}

sub answers
{
	my ($self, $name, $port) = @_;
	my @psql = ('psql', '--no-psqlrc', '-qAtX', '-h', $name, '-p', $port // 5432, '-U', 'haf_admin', '-d', 'haf_block_log',
		'-c', q{SELECT 'it is ' || current_database()});

	local $ENV{PGCONNECT_TIMEOUT} = 5;
	return $name eq '127.0.0.1' ? `@psql[0 .. $#psql - 1] "$psql[-1]" 2>&1` =~ s/\n\z//r : $self->docker('exec', $self->bystander, @psql);
}

# A container that is in all of the networks and does nothing.
sub bystander
{
	my ($self) = @_;
	my $name = "$self->{name}-bystander";

	return $name if $self->inspect($name, '{{.State.Running}}') eq 'true';
	my ($first, @more) = @{ $self->{made} };
	$self->docker('rm', '--force', $name);
	$self->docker('run', '--detach', '--init', '--name', $name, '--network', $first, '--entrypoint', 'sleep', $image, 'infinity');
	$self->docker('network', 'connect', $_, $name) for @more;
	return $name;
}

sub engine
{
	my ($self, $word) = @_;
	$self->{kills}++ if $word =~ /kill9|crash|halt|restart/;
	$self->overlaps if $word ne 'up';
	$self->SUPER::engine($word);
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

sub rules_hold
{
	my ($self) = @_;
	my @all = grep { /^\Q$self->{name}\E-/ } split /\n/, $self->docker('ps', '--all', '--format', '{{.Names}}');

	is_deeply([$self->overlaps], [], 'never did two containers with the data directory run at the same time');
	is_deeply([grep { $self->logs($_) =~ /is in use by another server/ } @all], [], 'nor did any find the data directory in use');
	is($self->sql(q{SELECT count(*) FROM hafstack.container WHERE log LIKE '%is in use by another server%'}), 0,
		'nor one that is removed');
	is_deeply([$self->reruns], [], 'no index build that had ended with 0 ran again');
}

sub done
{
	my ($self) = @_;
	my @left = grep { /^\Q$self->{name}\E-/ } split /\n/, $self->docker('ps', '--all', '--format', '{{.Names}}');

	$self->docker('rm', '--force', @left) if @left;
	$self->docker('volume', 'rm', $self->{volume});
	$self->docker('network', 'rm', @{ $self->{made} });
	note("$self->{kills} kills survived: hand-off program, server, daemon, host, and restarts of the daemon");
}

1;

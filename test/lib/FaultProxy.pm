# A proxy in front of the real Engine that spoils what it is told to spoil.
#
#   my $proxy = FaultProxy->new($t->host);     listens on a Unix socket: $proxy->host
#   $proxy->spoil('POST .*/start', 'drop')     from now on; $proxy->spoil_once(...) only the next one that matches
#                                              both take more than one pair of what and how
#   $proxy->spoilt                             how many requests were spoilt since the last spoil()
#   $proxy->pass                               spoil nothing any more
#   $proxy->stop
#
# What can be done to a request whose "METHOD path" matches:
#   drop     it is carried out, but the answer does not come
#   refuse   it is not carried out, and the connection is closed
#   hang     it is not carried out, and nobody ever answers
#   cut      it is carried out, but the connection breaks in the middle of the answer
#   error    500, with a message
#   taken    409, with a message
#   garbage  bytes that are no HTTP
#   nonsense 200, with a body that is no JSON
#   wrong    200, with JSON of another form
#   flood    200, with a body that has no end
#   mute     200, and the body never comes
#   empty    200, and an empty body
#   race     (DELETE of a container) it is carried out when a start that was on its way has been, and its process has ended
package FaultProxy;

use strict;
use warnings;

use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep);

sub new
{
	my ($class, $host) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir_short();
	my $self = bless { dir => $dir, upstream => $host =~ s{^unix://}{}r }, $class;

	$self->pass;
	my $listener = IO::Socket::UNIX->new(Local => "$dir/s", Listen => 100) or die "proxy: $!";
	$self->{pid} = fork // die "fork: $!";
	if ($self->{pid} == 0)
	{
		$SIG{CHLD} = 'IGNORE';
		$SIG{TERM} = 'DEFAULT';
		$SIG{PIPE} = 'IGNORE';
		setpgrp;
		while (1)
		{
			my $client = $listener->accept or next;
			my $pid = fork // die "fork: $!";
			if ($pid == 0)
			{
				close $listener;
				eval { $self->serve($client); };
				require POSIX;
				POSIX::_exit(0);
			}
			close $client;
		}
	}
	close $listener;
	return $self;
}

sub host { return "unix://$_[0]{dir}/s"; }

sub write_rules
{
	my ($self, $often, @rules) = @_;
	unlink glob("$self->{dir}/rule.* $self->{dir}/spoilt.*");
	for (my $n = 0; @rules; $n++)
	{
		my ($what, $how) = splice @rules, 0, 2;
		open my $file, '>', "$self->{dir}/new" or die $!;
		print $file "$how $often $what";
		close $file;
		rename "$self->{dir}/new", "$self->{dir}/rule.$n" or die $!;
	}
}

sub pass { $_[0]->write_rules('never'); }
sub spoil { my ($self, @rules) = @_; $self->write_rules('always', @rules); }
sub spoil_once { my ($self, @rules) = @_; $self->write_rules('once', @rules); }
sub spoilt { return scalar(my @files = glob("$_[0]{dir}/spoilt.*")); }

sub stop
{
	my ($self) = @_;
	kill 'TERM', -$self->{pid} if $self->{pid};
	waitpid $self->{pid}, 0 if $self->{pid};
	delete $self->{pid};
}

# What to do with this request.
sub fate
{
	my ($self, $request) = @_;
	for my $rule (sort glob("$self->{dir}/rule.*"))
	{
		open my $file, '<', $rule or next;
		my ($how, $often, $what) = split / /, (<$file> // ''), 3;
		next unless defined $what && $request =~ /^$what/;
		# whoever takes the rule away first has it
		next if $often eq 'once' && !rename $rule, "$self->{dir}/used.$$";
		open my $mark, '>', "$self->{dir}/spoilt.$$";
		return $how;
	}
	return 'pass';
}

# Start the container of a DELETE and wait for its end.
sub run_it
{
	my ($self, $request) = @_;
	my ($base) = $request =~ m{ (\S*/containers/[0-9a-f]+)} or return;

	for my $call ('start', 'wait')
	{
		my $upstream = IO::Socket::UNIX->new(Peer => $self->{upstream}) or return;
		say_it($upstream, "POST $base/$call HTTP/1.1\r\nHost: engine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
		1 while sysread($upstream, my $answer, 65536);
	}
}

# One exchange; more than one on a connection are not offered.
sub serve
{
	my ($self, $client) = @_;
	my $text = '';

	while ($text !~ /\r\n\r\n/)
	{
		sysread($client, $text, 65536, length $text) or return;
	}
	my ($head, $body) = split /\r\n\r\n/, $text, 2;
	my ($length) = $head =~ /^Content-Length: *(\d+)/mi;
	while (length $body < ($length // 0))
	{
		sysread($client, $body, 65536, length $body) or return;
	}
	my ($request) = $head =~ /^(\S+ \S+)/;
	my $how = $self->fate($request);

	return if $how eq 'refuse';
	if ($how eq 'hang') { sleep 1000; return; }
	return say_it($client, "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n{\"message\": \"everything burns\"}")
	  if $how eq 'error';
	return say_it($client, "HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nContent-Length: 31\r\n\r\n{\"message\": \"name is reserved\"}")
	  if $how eq 'taken';
	return say_it($client, join '', map { chr(($_ * 7919 + 13) % 256) } 1 .. 3000) if $how eq 'garbage';
	return say_it($client, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n[{\"Id\": \"\x00\xff}}]\"\"")
	  if $how eq 'nonsense';
	return say_it($client, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 44\r\n\r\n{\"Id\": [1, 2], \"State\": 7, \"Labels\": \"none\"}")
	  if $how eq 'wrong';
	return say_it($client, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n") if $how eq 'empty';
	$self->run_it($request) if $how eq 'race';
	if ($how eq 'mute')
	{
		say_it($client, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
		sleep 1000;
		return;
	}
	if ($how eq 'flood')
	{
		say_it($client, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n") or return;
		my $chunk = '[' x 65536;
		1 while say_it($client, sprintf "%x\r\n%s\r\n", length $chunk, $chunk);
		return;
	}

	$head =~ s/^Connection:.*\r\n//mi;
	my $upstream = IO::Socket::UNIX->new(Peer => $self->{upstream}) or return;
	say_it($upstream, "$head\r\nConnection: close\r\n\r\n$body");
	my $held = '';
	while (sysread($upstream, my $answer, 65536))
	{
		if ($how eq 'drop' || $how eq 'cut') { $held .= $answer; }
		else { say_it($client, $answer) or return; }
	}
	say_it($client, substr $held, 0, length($held) - 20) if $how eq 'cut';
}

sub say_it
{
	my ($to, $text) = @_;
	for (my $at = 0; $at < length $text;)
	{
		my $n = syswrite($to, $text, length($text) - $at, $at) or return 0;
		$at += $n;
	}
	return 1;
}

1;

# What the Engine's own event log says of a test's containers: a witness that hafstack has no hand in.
#
#   my $log = EngineLog->read($t);             up to now.  The Engine remembers 256 events only, and each health check is
#                                              three: read often enough, what was read before is kept
#   $log->names('start')                       names in the order in which that happened to them
#   $log->at('die', 'rules-a-setup')           when it did: the first time, nanoseconds; dies when it never did
#   $log->count('start', 'rules-a-setup')      how often
#   $log->before('create', 'x', 'destroy', 'y')    did the first of the one come before the first of the other?
#   $log->overlaps(qr/-setup$/)                pairs of such containers that ran at the same time
package EngineLog;

use strict;
use warnings;

use Time::HiRes qw(time);

sub read
{
	my ($class, $t) = @_;
	my $known = $t->{engine_events} //= [];
	my $last = @$known ? $known->[-1]{at} : 0;

	for my $line (split /\n/, $t->docker('events', '--since', substr($last, 0, -9) || $^T, '--until', sprintf('%.6f', time),
			'--filter', 'type=container', '--filter', "label=io.hafstack.stack=$t->{name}",
			'--format', '{{.TimeNano}} {{.Action}} {{.Actor.Attributes.name}}'))
	{
		my ($at, $action, $name) = $line =~ /^(\d+) (\w+)(?::.*)? (\S+)$/ or next;
		next if $at <= $last;
		push @$known, { at => $at, action => $action, name => $name };
	}
	return bless { events => [@$known] }, $class;
}

sub all { my ($self, $action) = @_; return grep { $_->{action} eq $action } @{ $self->{events} }; }
sub names { my ($self, $action) = @_; return map { $_->{name} } $self->all($action); }
sub when { my ($self, $action, $name) = @_; return map { $_->{at} } grep { $_->{name} eq $name } $self->all($action); }
sub count { my @times = when(@_); return scalar @times; }

sub at
{
	my ($self, $action, $name) = @_;
	my ($first) = $self->when($action, $name);
	return $first // die "$name: no $action in the Engine's log\n";
}

sub before
{
	my ($self, $one, $name, $other, $other_name) = @_;
	return $self->at($one, $name) < $self->at($other, $other_name);
}

sub overlaps
{
	my ($self, $pattern) = @_;
	my (%running, @pairs);

	for my $event (grep { $_->{name} =~ $pattern } @{ $self->{events} })
	{
		if ($event->{action} eq 'start')
		{
			push @pairs, map { "$_ and $event->{name}" } sort keys %running;
			$running{ $event->{name} } = 1;
		}
		delete $running{ $event->{name} } if $event->{action} eq 'die';
	}
	return @pairs;
}

1;

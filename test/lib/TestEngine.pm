# The real Engine that test/lib/control.sh runs (HAFSTACK_CONTROL names its folder), as the tests see it: what Hafstack.pm
# and Bundled.pm have in common.
#
#   TestEngine::host()            what DOCKER_HOST would be
#   $t->docker(qw(ps -a ...))     the docker client on it, its output chomped; exit status in $t->{docker_failed}
#   $t->engine('kill9')           to the Engine itself: kill9, crash, up, halt, restart
package TestEngine;

use strict;
use warnings;

use PostgreSQL::Test::Utils;

my $control = $ENV{HAFSTACK_CONTROL} or die "HAFSTACK_CONTROL is not set: run these tests with ./run test\n";

sub slurp_line
{
	my $text = PostgreSQL::Test::Utils::slurp_file($_[0]);
	chomp $text;
	return $text;
}

sub host { return slurp_line("$control/host"); }

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

sub engine
{
	my ($self, $word) = @_;
	open my $in, '>', "$control/in" or die "$control/in: $!";
	print $in "$word\n";
	close $in;
	my $answer = slurp_line("$control/out");
	die "the Engine could not be asked to $word: see $control/control.log\n" unless $answer eq 'ok';
}

1;

#!/usr/bin/perl
# The server-free rooms (http.c, engine.c, spec.c) by themselves, built with sanitizers: against peers that misbehave, and
# against a Docker Engine of the test's own.  The binaries speak TAP themselves; here their lines become ours.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

my $unit = abs_path(dirname(__FILE__) . '/../unit');
my @engine = ("$unit/with_engine.sh", "$unit/build/test_engine");

sub run_test {
    my ($name, @command) = @_;
    my ($planned, $seen, $good) = (-1, 0, 1);
    open(my $out, '-|', @command) or return fail("$name: cannot be run: $!");
    while (my $line = <$out>) {
        chomp $line;
        if ($line =~ /^(not )?ok \d+ - (.*)/) {
            $seen++;
            $good = ok(!$1, "$name: $2");
        }
        elsif ($line =~ /^1\.\.(\d+)/) {
            $planned = $1;
        }
        else {
            $good ? note($line) : diag($line);
        }
    }
    close $out;
    is($seen, $planned, "$name: ran to its end");
    is($? & 127, 0, "$name: was not killed");
    ok(($? >> 8) <= 1, "$name: exit status " . ($? >> 8));    # the sanitizers have others
}

is(system("make --silent -C '$unit'"), 0, 'the unit tests are built') or BAIL_OUT('no unit tests');
$ENV{ASAN_OPTIONS} = join(':', grep { defined } $ENV{ASAN_OPTIONS}, 'exitcode=23');
$ENV{UBSAN_OPTIONS} = join(':', grep { defined } $ENV{UBSAN_OPTIONS}, 'exitcode=24');
run_test($_, "$unit/build/test_$_") for qw(spec clone http hostile handoff);
SKIP: {
    skip 'dockerd can be started by root only', 1 if $> != 0;
    run_test('engine', @engine);
}
done_testing();

# pg_regress, on a server of its own: sql/ against expected/.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('regress');
my $output = "$ENV{TESTDATADIR}/regress";
my @tests = map { m{([^/]*)\.sql$} } sort glob 'sql/*.sql';

$node->init;
$node->append_conf('postgresql.conf', PostgreSQL::Test::Utils::slurp_file('test/regress.conf'));
$node->start;
mkdir $output;
is(system($ENV{PG_REGRESS}, '--inputdir=.', "--outputdir=$output", '--bindir=' . $node->config_data('--bindir'),
	'--host=' . $node->host, '--port=' . $node->port, '--user=postgres', '--dbname=contrib_regression', @tests), 0,
	'pg_regress: ' . join(' ', @tests));
diag(PostgreSQL::Test::Utils::slurp_file("$output/regression.diffs")) if -s "$output/regression.diffs";
$node->stop;
done_testing();

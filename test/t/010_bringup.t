# One app through every phase, with real containers: the shortest way to see that all of it works together.
use strict;
use warnings;

use Hafstack;
use Test::More;

my $t = Hafstack->new('bringup', haf => 'live');
my $job = $t->spec('app-a', 'setup', 'echo setting up');
my $detector = $t->spec('app-a', 'live_sync', 'echo seen live');
my $sync = $t->spec('app-a', 'sync', 'exec sleep 1000');
my $api = $t->spec('app-a', 'api', 'exec sleep 1000');

$t->sql(qq{SELECT hafstack.register_app('app-a', setup => '$job', sync => '$sync', live_sync => '$detector', api => '$api')});
$t->sql('SELECT hafstack.start()');
$t->until_phase('app-a', 'serving');

is($t->sql(q{SELECT string_agg(to_state, ' ' ORDER BY seq) FROM hafstack.event WHERE kind = 'phase' AND app = 'app-a'}),
	'index_built app_setup setup_done app_sync live serving', 'each phase change is one event, in order');
is($t->sql(q{SELECT string_agg(to_state, ' ' ORDER BY seq) FROM hafstack.event WHERE kind = 'phase' AND app IS NULL}),
	'preflight index_build haf_sync app_setup app_sync live', 'the stack passes through its phases');
is($t->sql(q{SELECT hafstack.logs('app-a', 'setup')}), "setting up\n", 'the log of a job is kept');
$t->until(q{SELECT bool_and(state = 'removed') FROM hafstack.container WHERE role IN ('setup', 'live_sync')},
	'jobs are removed after their successors were created');
is($t->containers, 'bringup-app-a-api bringup-app-a-sync', 'the services are what is left');
is($t->starts('app-a', $_), 1, "$_ was started once") for qw(setup sync live_sync api);

$t->done;
done_testing();

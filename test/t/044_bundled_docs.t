# The Dockerfile of docs/bundled.md, word for word, over an image like HAF's that has no hafstack yet.
#
# Nothing can be fetched here, so the step before it, which compiles, is left out: what it would write is taken from
# hafstack-test/haf17, where `make install DESTDIR=...` has put it.  The two libraries are there, and apt-get has no turn.
use strict;
use warnings;

use Bundled;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'there is no image hafstack-test/haf17' unless Bundled::available();

my @docker = ('docker', '--host', TestEngine::host());
my $context = PostgreSQL::Test::Utils::tempdir('docs');
my $pages = PostgreSQL::Test::Utils::slurp_file('docs/bundled.md');
my ($dockerfile, @more) = $pages =~ /^```dockerfile\n(.*?)^```$/msg;
my ($preload) = $pages =~ /^```\n(shared_preload_libraries = .*\n)```$/m;
my ($socket) = TestEngine::host() =~ m{^unix://(.*)};
my $group = (stat $socket)[5];

ok(defined $dockerfile && !@more, 'the page has one Dockerfile') or die "no Dockerfile in docs/bundled.md\n";
ok(defined $preload, 'and a line for postgresql.conf') or die "no preload line in docs/bundled.md\n";
like($pages, qr{DESTDIR=/src/image install}, 'and says where the folder image comes from');

sub put
{
	my ($name, $text) = @_;
	open my $file, '>', "$context/$name" or die "$name: $!";
	print $file $text;
	close $file;
}

# The classic builder: it works without the network, as long as nothing is to be pulled.
sub build
{
	my ($tag, $file, @arguments) = @_;
	local $ENV{DOCKER_BUILDKIT} = 0;
	my $out = '';
	open my $pipe, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @docker, 'build', '--network', 'none', '--file', "$context/$file",
	  (map { ('--build-arg', $_) } @arguments), '--tag', $tag, $context or die "docker: $!";
	$out .= $_ while <$pipe>;
	close $pipe;
	is($?, 0, "$tag is built") or die $out;
}

# ---- What `make install` writes, and an image without it.
my $pg = 'usr/lib/postgresql/17';
my $share = 'usr/share/postgresql/17/extension';
my $here = "$context/image";

system('mkdir', '-p', "$here/$pg/bin", "$here/$pg/lib", "$here/$share") == 0 or die;
chomp(my $from = `@docker create hafstack-test/haf17`);
system("@docker cp $from:/$pg/bin/hafstack_handoff $here/$pg/bin/ && @docker cp $from:/$pg/lib/hafstack.so $here/$pg/lib/"
	  . " && @docker cp $from:/$share $context/ && cp $context/extension/hafstack* $here/$share/ && @docker rm $from") == 0 or die;
put('Dockerfile.plain', "FROM hafstack-test/haf17\nRUN rm /$pg/bin/hafstack_handoff /usr/bin/hafstack_handoff /$pg/lib/hafstack.so /$share/hafstack*\n");
build('hafstack-test/haf17-plain', 'Dockerfile.plain');

# ---- The page's.
put('Dockerfile', $dockerfile);
build('hafstack-test/documented', 'Dockerfile', 'HAF_IMAGE=hafstack-test/haf17-plain', "DOCKER_GID=$group");
is(`@docker image inspect --format '{{.Config.User}} {{json .Config.Entrypoint}}' hafstack-test/documented`,
	qq(hived ["/usr/local/bin/haf-entrypoint"]\n), 'it runs as HAF does');

# ---- A container of it.  As root, for the entrypoint of the stand-in has no sudo; no group is given, the image has it.
my $b = Bundled->new('docs', image => 'hafstack-test/documented', preload => $preload, run => [ '--user', '0:0' ]);
is($b->sql('SHOW shared_preload_libraries'), 'pg_stat_statements,pg_cron,hafstack', 'the server starts with the documented line');
is($b->sql('SELECT hafstack.version()'), $b->sql(q{SELECT extversion FROM pg_extension WHERE extname = 'hafstack'}), 'and has the library');
is($b->docker('exec', '--user', 'postgres', $b->{first}, 'sh', '-c', '[ -w /var/run/docker.sock ] && echo yes'), 'yes',
	'PostgreSQL may use the Docker socket');
$b->until(q{SELECT hafstack.status() #>> '{worker,docker_reachable}' = 'true'}, 'the worker does');

$b->script('a', 'true');
my $spec = $b->index_spec('a');
$b->sql(qq{SELECT hafstack.register_app('app-a', index => '$spec')});
$b->sql('SELECT hafstack.start()');
$b->until_true(sub { $b->starts('a') == 1 }, 'the hand-off program is where the server looks for it, and works');
$b->rules_hold if $b->until('SELECT count(*) = 1 FROM hafd.hived_connections', 'the chain goes on to HAF', 60);
$b->done;
system("@docker image rm --force hafstack-test/documented hafstack-test/haf17-plain >/dev/null");
done_testing();

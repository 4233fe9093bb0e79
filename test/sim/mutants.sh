#!/bin/bash
# Breaks one predicate of decide.c at a time, in a scratch copy, and expects the
# simulator to notice: each rule has a check that would fail without it.
#
#	test/sim/mutants.sh [steps]
#
# MUTANT=words tries only those that have these words in their names.
cd "$(dirname "$0")/../.." || exit 1
steps=${1:-10000000}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
caught=0 missed=0

for source in test/sim/*.c extension/explain.c; do
	${CC:-cc} -std=gnu11 -O2 -Iinclude -c "$source" -o "$scratch/$(basename "$source" .c).o" || exit 1
done

# bundled RULE WHAT PERL-SUBSTITUTION [STEPS]
bundled()
{
	mutant "$1" "bundled: $2" "$3" "${4:-$steps}" "--bundled 1000"
}

miss()
{
	echo "MISSED  rule $1"
	missed=$((missed + 1))
}

# mutant RULE WHAT PERL-SUBSTITUTION [STEPS] [SIM-OPTIONS]
mutant()
{
	case "$2" in *"${MUTANT:-}"*) ;; *) return ;; esac
	perl -0pe "$3" extension/decide.c >"$scratch/decide.c"
	if cmp -s extension/decide.c "$scratch/decide.c"; then
		miss "$1: $2: the substitution fits nothing"
	elif ! ${CC:-cc} -std=gnu11 -O2 -w -Iinclude "$scratch/decide.c" "$scratch"/*.o -o "$scratch/mutant"; then
		miss "$1: $2: does not compile"
	elif nice "$scratch/mutant" --seed 1 --steps "${4:-$steps}" ${5:---bundled 0} >"$scratch/out"; then
		miss "$1: $2"
	else
		echo "caught  rule $1: $2 -- $(grep -m1 '^rule ' "$scratch/out")"
		caught=$((caught + 1))
	fi
}

mutant 1 "index builds side by side" \
	's/(static bool\nsole_active\(.*?\n\{\n)/$1\treturn true;\n/s; s/sum->index_owner == step->app && //'
mutant 1 "index builds out of order" \
	's/sum->index_owner == app/view->apps[app].phase == APP_REGISTERED/; s/sum->index_owner == step->app && //'
mutant 1 "hived before the index builds" \
	's/(stack_indexed.*?return view->stack.running) && sum->all_indexed/$1/s'
mutant 1 "hived beside the last index build" \
	's/ && sum->active\[ROLE_INDEX\] == 0;/;/; s/return phase >= STACK_HAF_SYNC;/return phase >= STACK_INDEX_BUILD;/'
mutant 2 "setup while HAF is not live" \
	's/sum->haf_live && sum->setup_owner == step->app &&/sum->setup_owner == step->app &&/'
mutant 2 "app_setup while HAF is not live" \
	's/(stack_haf_live.*?return view->stack.running) && sum->haf_live/$1/s'
mutant 3 "setups side by side" \
	's/(static bool\nsole_active\(.*?\n\{\n)/$1\treturn true;\n/s; s/sum->setup_owner == step->app &&/true \&\&/; s/sum->setup_owner == app;/true;/'
mutant 3 "dependencies do not count" \
	's/(app_depends_set_up\(const View[^\n]*\n\{\n)/$1\treturn true;\n/s'
mutant 4 "app_sync before every setup" \
	's/(stack_set_up.*?return view->stack.running) && sum->all_set_up/$1/s'
mutant 4 "an app passes the barrier early" \
	's/view->stack.phase >= STACK_APP_SYNC;/true;/'
mutant 4 "held apps go on" \
	's/app->aside = app->held \|\|/app->aside =/'
mutant 5 "an API before live" \
	's/app->phase >= APP_LIVE;\n\t\}/app->phase >= APP_SYNC;\n\t}/'
mutant 5 "live when only HAF is" \
	's/\(!it->has_contexts \|\| it->caught_up\)/true/'
mutant 5 "live without the detector" \
	's/return role_done\(view, it, ROLE_LIVE_SYNC\);/return true;/'
mutant 5 "serving when nothing was up" \
	's/(role_was_up.*?)return false;/$1continue;/s'
mutant 6 "removal before the log is stored" \
	's/ \|\| !step->log_stored\)\n\t\treturn false;/)\n\t\treturn false;/; s/return !step->log_stored && callable/return false \&\& callable/'
mutant 6 "removal before the successor is created" \
	's/(return role_is_job\(step->role\) && view->stack.running && !sum->beginning) &&\n\t\t\tsuccessor_created\(view, sum, step\);/$1;/'
mutant 6 "a failed job goes before its next attempt" \
	's/view->now >= step->retry_at && turn\(view, sum, step\);/true;/'
mutant 7 "a start is sent twice" \
	's/ST\(SEEN_CREATED\), changeable, ACT_REMOVE\}/ST(SEEN_CREATED), changeable, ACT_START}/'
mutant 7 "a lost outcome is run again" \
	's/step->failed = true;\s*\/\* it may[^\n]*/;/'
mutant 7 "a lost start counts as none" \
	's/\{ST\(STEP_STARTING\), GONE, always, ACT_NOTE_LOST\}/{ST(STEP_STARTING), GONE, always, ACT_NOTE_VANISHED}/'
mutant 7 "a discarded container never ran" \
	's/return !discarding\(step\) \|\| step->ever_started == ANSWER_NO;/return true;/'
mutant 7 "a late container of a failed job" \
	's/return !step->done && !\(step->failed && role_is_job\(step->role\)\);/return !step->done;/'
mutant 7 "asked to stop counts as interrupted" \
	's/step->kill_seen \|\| \(step->stopping && !job\)/step->kill_seen || step->stopping/'
mutant 7 "a done job runs again" \
	's/return !step->done && !\(step->failed/return !(step->failed/'
mutant 7 "attempts without end" \
	's/step->failed = step->failures >= view->policy.max_attempts;//'
mutant 8 "a stranger is adopted" \
	's/ST\(SEEN_STRANGER\), always, ACT_NOTE_STRANGER/ST(SEEN_STRANGER), always, ACT_NOTE_CREATED/'
mutant 9 "the stack goes back while it runs" \
	's/(stack_is_down[^\n]*\n\{\n)\tif \(view->stack.running\)\n\t\treturn false;/$1/'
mutant 9 "a phase is left out" \
	's/\{APP_SETUP_DONE, past_barrier, APP_SYNC\}/{APP_SETUP_DONE, past_barrier, APP_LIVE}/'
mutant 11 "an API is up the moment it is started" \
	's/return step->role == ROLE_API \? SETTLE_TIME : 0;/return 0;/'
mutant 11 "a service that fell is up the moment it is started again" \
	's/return within\(view->policy.retry_delay, [^;]*;/return SETTLE_TIME;/'
mutant 11 "the worker sleeps while a service settles" \
	's/SOONER\(step->running_since \+ settle_time\(view, step\)\);//'
mutant 11 "work while paused" \
	's/sum->acting = sum->calling && !view->stack.paused;/sum->acting = sum->calling;/'
mutant 11 "idle while something runs" \
	's/if \(sum->active\[role\] > 0\)\n\t\t\treturn false;/;/'
mutant 11 "HAF is stopped before the servers" \
	's/sum->active\[ROLE_LIVE_SYNC\] \+ sum->active\[ROLE_API\] \+\n\t\t\t\tsum->active\[ROLE_SYNC\] == 0/0 == 0/'
mutant 11 "jobs are stopped without force" \
	's/view->stack.phase != STACK_IDLE && view->stack.force_stop &&/view->stack.phase != STACK_IDLE \&\&/'
mutant 11 "containers of a role side by side" \
	's/(predecessor_through\(const View[^\n]*\n\{\n)/$1\treturn true;\n/; s/const Step \*before = step - 1;\n\n\tif \(is_first\(step\)\)\n\t\treturn true;/const Step *before = step - 1;\n/'
mutant 11 "a killed sync has completed" \
	's/\(step->role == ROLE_SYNC && step->watched\)/step->role == ROLE_SYNC/'
mutant 11 "a lost create is never made up for" \
	's/\{ST\(STEP_CREATING\), ST\(SEEN_ABSENT\), [a-z_]*, ACT_[A-Z_]*\},\n//g'
mutant 11 "a container started by hand on its way out" \
	's/#define MAY_RUN\s*\([^\n]*/#define MAY_RUN ST(STEP_RUNNING)/' 100000000	# rare
mutant 11 "a copied database acts" \
	's/if \(view->stack.copied\)\n\t\treturn 0;//; s/view->stack.engine_up && !view->stack.copied/view->stack.engine_up/'
mutant 11 "the worker sleeps through a retry" \
	's/SOONER\(step->retry_at\);//'
mutant 11 "what was taken away and is wanted again is not made" \
	's/\{ST\(STEP_WAITING\) \| ST\(STEP_REMOVED\), ANY_SEEN/{ST(STEP_WAITING), ANY_SEEN/'
mutant 12 "a container before the preflight" \
	's/view->now >= step->retry_at && app_checked\(view, app\) &&/view->now >= step->retry_at \&\&/'
mutant 12 "index_build before every preflight" \
	's/sum->acting && sum->all_checked;/sum->acting;/'

# ---- The bundled topology
bundled 1 "the worker starts a link" \
	's/app->counts_done\[step->role\] \|\| step_is_chained\(view, step\) \|\|/app->counts_done[step->role] ||/'
bundled 1 "the worker stops a link" \
	's/!callable\(view, sum, step\) \|\| step_is_chained\(view, step\)\)/!callable(view, sum, step))/'
bundled 1 "the worker kills a builder" \
	's/callable\(view, sum, step\) && !step_is_chained\(view, step\) &&/callable(view, sum, step) \&\&/'
bundled 1 "the program before every link is made" \
	's/return sum->chain_wanted && sum->chain_ready;/return sum->chain_wanted;/'
bundled 1 "the program without a recovery container" \
	's/\tadd_link\(view, sum, haf->role_first\[ROLE_RECOVERY\]\);\n//'
bundled 1 "a program for another chain" \
	's/step->spec_version != sum->chain_version\)/false)/'
bundled 1 "a program that an earlier create call made" \
	's/version = 0;/;/; s/step->spec_version = 0; .. made by an earlier call ..//' 100000000	# rare
bundled 1 "hived is stopped without restart_haf" \
	's/return view->stack.restart_haf && view->stack.phase/return view->stack.phase/'
bundled 1 "hived is stopped for nothing" \
	's/(view->stack.restart_haf && view->stack.phase == STACK_INDEX_BUILD) &&\n[^;]*;/$1;/'
bundled 1 "a link that may have ended is handed over" \
	's/return step->seen == SEEN_RUNNING;[^\n]*/return true;/' 100000000	# rare
bundled 1 "a clone of an index builder" \
	's/ && view->stack.place != PLACE_INDEX;/;/'
bundled 1 "a chain from nobody knows where" \
	's/return view->stack.place != PLACE_UNKNOWN;\n/return true;\n/; s/(may_clone[^{]*\{\n\treturn) view->stack.place != PLACE_UNKNOWN &&/$1/'
bundled 1 "haf_sync before HAF has taken over" \
	's/if \(view->stack.bundled && !decide_hived_here\(view\)\)\n\t\treturn false;[^\n]*//'
bundled 6 "a link goes while the program may need it" \
	's/(spared_by_program\(const View.*?)\(!step_is_chained\(view, step\) \|\| !sum->handing_over/$1(true || !step_is_chained(view, step) || !sum->handing_over/s'
bundled 6 "a link that was altered goes while the program may need it" \
	's/\(sum->handing_over \|\| !may_clone\(view\)\)/(!may_clone(view))/'
bundled 6 "a program started by hand is not looked for" \
	's/sum->handing_over = step_active\(handoff\) \|\|.*?SEEN_UNKNOWN\);/sum->handing_over = step_active(handoff);/s'
bundled 6 "what failed goes with the chain of others" \
	's/may_clone\(view\) && !app->aside && has_work\(step\) &&/may_clone(view) \&\&/'
bundled 6 "the recovery container stays" \
	's/\(step->role == ROLE_RECOVERY \|\| step->role == ROLE_HANDOFF\)( &&\n\t\tview->stack.phase >)/step->role == ROLE_HANDOFF$1/'
bundled 6 "the hand-off program's container stays" \
	's/\(step->role == ROLE_RECOVERY \|\| step->role == ROLE_HANDOFF\)( &&\n\t\tview->stack.phase >)/step->role == ROLE_RECOVERY$1/'
bundled 7 "the end of a builder is that of its process before" \
	's/(link_ran_again[^{]*\{\n\treturn) /$1 false \&\& /; s/ && step->seen_started == step->started_at;/;/'
bundled 7 "a builder that was given up is handed over again" \
	's/else if \(step->role == ROLE_INDEX \|\|\n/else if (/'
bundled 7 "HAF that was given up is handed over again" \
	's/\(step->role == ROLE_INSTANCE && view->stack.place == PLACE_RECOVERY\)/false/'
bundled 7 "what could not be started is handed over again" \
	's/\{ST\(STEP_CREATED\), ST\(SEEN_CREATED\), link_given_up, ACT_NOTE_REFUSED\},\n//; s/ &&\n\t\t\t\t!never_came_up\(view, step\)//'
bundled 7 "the end of HAF is judged from nobody knows where" \
	's/return !step_is_chained\(view, step\) \|\| view->stack.place != PLACE_UNKNOWN;/return true;/' 100000000	# rare
bundled 7 "a failed link does not hold the chain" \
	's/sum->chain_wanted = false;\t.. it waits for the operator ..//'
bundled 11 "the program goes on while paused" \
	's/return view->stack.paused \|\| !view->stack.running;/return !view->stack.running;/'
bundled 11 "the program goes on after stop()" \
	's/return view->stack.paused \|\| !view->stack.running;/return view->stack.paused;/'
bundled 11 "stop() waits for the container that the server is in" \
	's/if \(step_active\(step\) && !step_is_chained\(view, step\)\)\n\t\t\{/if (step_active(step))\n\t\t{/'
bundled 11 "no chain after a hand-off program that failed" \
	's/(case ROLE_HANDOFF:\n\t\t\treturn) sum->chain_wanted/$1 step->failures == 0 \&\& sum->chain_wanted/'
bundled 11 "HAF in another container is not up" \
	's/if \(role == ROLE_INSTANCE && view->stack.bundled\)\n\t\treturn decide_hived_here\(view\);//'

echo "$caught caught, $missed missed"
[ $missed -eq 0 ]

# hafstack: PGXS build.  make, make install, make installcheck; PG_CONFIG chooses the server.
EXTENSION = hafstack
MODULE_big = hafstack
DATA = extension/hafstack--0.1.0.sql
OBJS = extension/hafstack.o extension/worker.o extension/observe.o extension/act.o extension/preflight.o \
	extension/decide.o extension/explain.o extension/catalog.o extension/haf.o extension/bundled.o extension/clone.o \
	extension/spec.o extension/doc.o extension/engine.o extension/http.o extension/event.o extension/api.o

# the program of the bundled topology; without a line of the server's in it
HANDOFF = hafstack_handoff
HANDOFF_OBJS = extension/handoff.o extension/engine.o extension/http.o extension/clone.o extension/spec.o extension/doc.o

REGRESS = $(sort $(basename $(notdir $(wildcard sql/*.sql))))
REGRESS_OPTS = --inputdir=.
EXTRA_CLEAN = $(HANDOFF) extension/handoff.o

PG_CPPFLAGS = -I$(srcdir)/include -std=gnu11
PG_CFLAGS = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-cast-function-type
SHLIB_LINK = -lcurl -lcjson

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

all: $(HANDOFF)

$(HANDOFF): $(HANDOFF_OBJS)
	$(CC) $(CFLAGS) $(HANDOFF_OBJS) $(LDFLAGS) $(LDFLAGS_EX) -lcurl -lcjson -lm -o $@

install: install-handoff
install-handoff: $(HANDOFF)
	$(MKDIR_P) '$(DESTDIR)$(bindir)'
	$(INSTALL_PROGRAM) $(HANDOFF) '$(DESTDIR)$(bindir)/$(HANDOFF)'

uninstall: uninstall-handoff
uninstall-handoff:
	rm -f '$(DESTDIR)$(bindir)/$(HANDOFF)'

.PHONY: install-handoff uninstall-handoff

# PGXS knows nothing of our headers
$(OBJS) $(HANDOFF_OBJS): $(wildcard $(srcdir)/include/*.h)

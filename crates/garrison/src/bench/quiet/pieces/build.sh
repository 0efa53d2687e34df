#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

cat >/home/dana/build.sh <<'SCRIPT'
set -eu
mkdir -p ~/hello/src ~/hello/tests
cd ~/hello
cat >configure <<'CONFIGURE'
#!/bin/sh
set -e
CC=${CC:-cc}
check() {
    printf 'checking for %s... ' "$1"
    printf '#include <%s>\nint main(void) { return 0; }\n' "$1" >conftest.c
    if $CC conftest.c -o conftest 2>/dev/null && ./conftest; then echo yes; else echo no; fi
    rm -f conftest conftest.c
}
check stdio.h
check no/such.h
host=$(uname -m)-$(uname -s)
sed "s/@HOST@/$host/" Makefile.in >Makefile
CONFIGURE
chmod +x configure
cat >src/greet.c <<'C'
#include <stdio.h>
void greet(const char *who) { printf("hello, %s\n", who); }
C
cat >src/main.c <<'C'
void greet(const char *who);
int main(int argc, char **argv) { greet(argc > 1 ? argv[1] : "world"); return 0; }
C
cat >tests/run.sh <<'T'
#!/bin/sh
test "$(./hello you)" = "hello, you"
T
chmod +x tests/run.sh
cat >Makefile.in <<'M'
# for @HOST@
CFLAGS = -O2 -fPIC
PREFIX ?= $(HOME)/.local
OBJECTS = src/main.o src/greet.o
all: hello libgreet.so generated.h
hello: $(OBJECTS)
	$(CC) -o $@ $(OBJECTS)
libgreet.so: src/greet.o
	$(CC) -shared -o $@ src/greet.o
libgreet.a: src/greet.o
	ar rcs $@ $^ && ranlib $@
generated.h: src/main.c
	awk '/void/ { print }' $< | sort -u >$@
check: all libgreet.a
	tests/run.sh
install: all
	install -d $(PREFIX)/bin && install -m 755 hello $(PREFIX)/bin && strip $(PREFIX)/bin/hello
clean:
	rm -f hello $(OBJECTS) libgreet.* generated.h
.PHONY: all check install clean
M
./configure
make -j2
make check
make install
~/.local/bin/hello
ldd hello
nm -D libgreet.so | head -3
make clean
# An older habit: built, run and thrown away where there is room.
dir=$(mktemp -d)
cp -r . "$dir/hello"
make -C "$dir/hello" check
rm -rf "$dir"
SCRIPT
runuser -u dana -- env HOME=/home/dana sh -c 'cd && sh build.sh'
# As root, into /usr/local.
make -C /home/dana/hello install PREFIX=/usr/local
/usr/local/bin/hello
rm /usr/local/bin/hello

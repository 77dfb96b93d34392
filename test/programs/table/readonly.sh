# What would change a store's file: refused as on a read-only file system.  A local name may be made beside it.

#: mv
mv "$D/config.json" . 2>&1; echo $?; mv "$D/src/plus.c" "$D/src/other.c" 2>&1; echo $?; ls; mv "$D/src/sub" "$D/src/sub2" 2>&1; echo $?
#= mv: cannot move 'DIR/config.json' to './config.json': Read-only file system
#= 1
#= mv: cannot move 'DIR/src/plus.c' to 'DIR/src/other.c': Read-only file system
#= 1
#= mv: cannot move 'DIR/src/sub' to 'DIR/src/sub2': Read-only file system
#= 1
#: rm
rm -f "$D/config.json" 2>&1; echo $?; rm -rf "$D/src/sub" 2>&1; echo $?; rmdir "$D/src" 2>&1; echo $?; unlink "$D/empty" 2>&1; cat "$D/src/sub/deep.h"
#= rm: cannot remove 'DIR/config.json': Read-only file system
#= 1
#= rm: cannot remove 'DIR/src/sub/deep.h': Read-only file system
#= 1
#= rmdir: failed to remove 'DIR/src': Read-only file system
#= 1
#= unlink: cannot unlink 'DIR/empty': Read-only file system
#= #pragma once
#= #define DEEP 40
#: touch
touch "$D/config.json" 2>&1; echo $?; touch -d 2001-01-01 "$D/config.json" 2>&1; echo $?; touch "$D/mine" && rm "$D/mine"; echo $?
#= touch: cannot touch 'DIR/config.json': Read-only file system
#= 1
#= touch: cannot touch 'DIR/config.json': Read-only file system
#= 1
#= 0
#: chmod, chown, truncate
chmod 777 "$D/config.json" 2>&1; chown "$(id -u)" "$D/config.json" 2>&1; truncate -s 0 "$D/config.json" 2>&1; wc -c < "$D/config.json"
#= chmod: changing permissions of 'DIR/config.json': Read-only file system
#= chown: changing ownership of 'DIR/config.json': Read-only file system
#= truncate: cannot open 'DIR/config.json' for writing: Read-only file system
#= 106
#: ln
ln "$D/config.json" hard 2>&1; ln -s x "$D/config.json" 2>&1; ln -sf x "$D/config.json" 2>&1; ls -A; wc -c < "$D/config.json"
#= ln: failed to create hard link 'hard' => 'DIR/config.json': Invalid cross-device link
#= ln: failed to create symbolic link 'DIR/config.json': File exists
#= ln: failed to create symbolic link 'DIR/config.json': Read-only file system
#= 106
#: cp over a store file
cp "$D/src/plus.c" "$D/config.json" 2>&1; cp -f "$D/src/plus.c" "$D/config.json" 2>&1; dd if=/dev/zero of="$D/empty" count=1 2>&1; tee "$D/empty" < /dev/null 2>&1; echo $?
#= cp: cannot create regular file 'DIR/config.json': Read-only file system
#= cp: cannot remove 'DIR/config.json': Read-only file system
#= dd: failed to open 'DIR/empty': Read-only file system
#= tee: DIR/empty: Read-only file system
#= 1
#: redirections
( echo x > "$D/config.json" ) 2>&1 | grep -c Read-only; ( echo x >> "$D/empty" ) 2>&1 | grep -c Read-only; ( exec 3<>"$D/empty" ) 2>&1 | grep -c Read-only; set -C; ( echo x > "$D/empty" ) 2>&1; wc -c < "$D/config.json"
#= 1
#= 1
#= 1
#= bash: line 1: DIR/empty: cannot overwrite existing file
#= 106
#: sed -i, perl -i
sed -i s/a/b/ "$D/config.json" 2>&1 | sed 's/sed[A-Za-z0-9]*:/SED:/' | grep -c Read-only; md5sum < "$D/src/plus.h" > a; perl -pi -e 's/plus/minus/' "$D/src/plus.h" 2>&1 | grep -c Read-only; md5sum < "$D/src/plus.h" | cmp - a && rm a
#= 1
#= 1
#: find -delete
find "$D/many/0" -name 'f00*' -delete 2>&1 | sort | head -n 1; find "$D/many/0" -name 'f00*' | wc -l
#= find: cannot delete ‘DIR/many/0/f000’: Read-only file system
#= 4
#: local files beside the store's
echo mine > "$D/text/mine"; cat "$D/text/mine"; ls "$D/text" | grep -c .; mkdir "$D/own" && cp "$D/src/plus.h" "$D/own/" && cat "$D/own/plus.h"; mv "$D/own/plus.h" "$D/own/x" && ln "$D/own/x" y && stat -c %h y && mktemp -d "$D/own/XXXXXX" | grep -c own; rm -r "$D/own" "$D/text/mine" y; find "$D" -name mine; t=$(mktemp "$D/src/XXXXXX") && echo made > "$t" && cat "$t" && rm "$t"
#= mine
#= 11
#= int plus(int a, int b);
#= #define GREETING "hello from the bucket"
#= 2
#= 1
#= made

# What is used from a shell beside coreutils.

#: find
find "$D" | sort; cd "$D"; find . -type f -printf '%p %y %s %m %T@ %d %P %h %f %l %n %u %M\n' | sort; find . -type d -printf '%p %y %d %m\n' | sort; find -size +1M | sort; find -empty | sort; find none
find . -newer archives/lines.gz -type f | sort; find . -newermt '2021-03-04 12:00:00' | sort | md5sum; find . -xdev -name '*.c' -o -iname '*.JSON' | sort; find deep -depth; find . -maxdepth 1 -perm 444 | sort; find . -mindepth 3 -path '*9*' | sort; find . -regex '.*/f1.[0-3]' | sort; find many -links 1 -size 0 | sort; find . -prune -o -print; find . -readable -not -executable -type f | wc -l; find . -samefile src/plus.c; find src -quit
#: find -exec
find "$D" -name '*.c' -exec cat {} + | sort; find "$D/src" -name '*.h' -execdir head -n1 {} \; | sort; find "$D/odd names" -print0 | sort -z | tr '\0' '|'; (cd "$D" && find many/0 -type f -exec md5sum {} \; | sort | md5sum); find "$D/text" -type f -exec grep -q omega {} \; -print; find "$D/src" -ok echo {} \; < /dev/null 2>/dev/null; find "$D/text" -name 'l*' -ls | awk '{print $3, $4, $7, $11}' | sort; find -L "$D/src" -type f | sort
#: xargs
find "$D" -type f -print0 | sort -z | xargs -0 -P 4 -n 5 sha256sum | sort; xargs -a "$D/text/left.txt" -n 100 echo | md5sum; xargs -n 2 < "$D/text/no newline at end.txt"; ls "$D"/src/*.c | xargs -I{} sh -c 'wc -c < {}'; xargs -a "$D/src/plus.h" -d '\n' -o cat /dev/null 2>&1 | head -n 1
#: grep
grep -c line "$D/text/lines.txt"; grep -r hello "$D/src" | sort; grep -rl omega "$D" | sort; grep -rn --include='*.c' --include='*.h' plus "$D" | sort; grep -rL e "$D/src" | sort; grep -z -c x "$D/text/words.txt"; grep -a -o -b GGUF "$D/gguf/model-q8_0.gguf"; grep -r GGUF "$D/gguf"; grep -m 2 -A1 alpha < "$D/text/words.txt"; grep -f "$D/text/no newline at end.txt" "$D"/text/crlf.txt; grep -q tok1 "$D/tokenizer.json" && echo yes; grep x "$D/none" "$D/text"; grep -P '\bgr..e' "$D/text/utf8.txt" | head -n1; (cd "$D" && grep -rc 1 many | sort | md5sum); grep -R --exclude-dir=text -il café "$D"; grep -c . "$D/text/long line.txt"; cd "$D/odd names" && grep -r inner | sort; egrep -o 'o.e' "$D/text/crlf.txt"; zgrep -c 'line 1' "$D/archives/lines.gz"
#: tar
cd "$D" && tar --sort=name -cf "$W/a.tar" --mtime=@1 --owner=0 --group=0 --numeric-owner --mode=755 . ; tar --sort=name -cf "$W/b.tar" text/* src; cd "$W"; tar tvf a.tar | md5sum; tar --diff -f b.tar -C "$D"; echo $?; tar xf a.tar; tar tf "$D/archives/files.tar"; mkdir x y z; tar xf "$D/archives/files.tar" -C x; tar xzf "$D/archives/files.tar.gz" -C y; tar xf "$D/archives/files.tar.xz" -C z; tar xOf "$D/archives/files.tar" sub/blob.bin | md5sum; tar cf - -C "$D" arrays | tar tf - | sort; tar xf - < "$D/archives/files.tar"; tar tf "$D/none"; tar cSf - -C "$D" sparse | tar xf - ; tar c --sort=name -C "$D" many | md5sum > /dev/null; rm b.tar
#: tar, incremental and lists
(cd "$D" && find text -type f | sort) > list; tar cf - -C "$D" -T list | tar tvf - | awk '{print $3, $4, $5, $6}'; tar cf - -C "$D" --exclude='*.txt' text src | tar tf - | sort; tar rf app.tar -C "$D" config.json; tar uf app.tar -C "$D" config.json; tar tf app.tar; tar cf - -C "$D" --newer-mtime='2021-03-04 12:00:00' --no-recursion tokenizer.json config.json 2>&1 | tar tf -; rm app.tar
#: rsync
rsync -a "$D/" copy/; rsync -ai "$D/" copy/; diff -r "$D" copy && echo same; rsync -rt --checksum -i "$D/text/" copy/text/; rsync -a --delete --exclude='*.txt' --stats "$D/text" "$D/src" other/ | grep -E '^(Number of (reg|created)|Total file size)'; rsync -rni "$D/" other/ | sort
#: rsync, changed copies
rsync -a "$D/arrays" .; printf X | dd of=arrays/square.npy bs=1 seek=99999 conv=notrunc status=none 2>/dev/null || { chmod u+w arrays/square.npy; printf X | dd of=arrays/square.npy bs=1 seek=99999 conv=notrunc status=none; }; rsync -a --no-whole-file --inplace -c "$D/arrays" .; cmp arrays/square.npy "$D/arrays/square.npy" && echo same; rsync -S "$D/sparse/zeros" . && du -k zeros; rsync -R "$D/./src/sub/deep.h" .; rsync --list-only "$D/src/" | awk '/^-/{print $1, $2, $3, $4, $5}'; rsync "$D/none" . 2>&1 | grep -c 'No such file'; rsync --files-from=<(cd "$D" && ls text/*.txt) "$D" chosen
#: ar
ar t "$D/bin/libplus.a"; ar p "$D/bin/libplus.a" plus.o | md5sum; ar x "$D/bin/libplus.a" && cmp plus.o "$D/bin/plus.o" && ar rcsD mine.a "$D/bin/plus.o" && ranlib -D mine.a && nm -s mine.a
#: zip, unzip
(cd "$D" && find . -type f | sort | zip -qX -@ "$W/all.zip"); unzip -qqt all.zip; unzip -Z1 all.zip | md5sum; rm all.zip; unzip -l "$D/archives/files.zip"; unzip -q "$D/archives/files.zip" -d out; unzip -p "$D/archives/files.zip" lines.txt | md5sum; zip -q -j -r - "$D/src" | wc -c > /dev/null; zipinfo "$D/archives/files.zip"; zip -T "$D/archives/files.zip" -q; unzip -q "$D/none.zip" 2>&1 | sed 's/,.*//' | head -n 1; zipgrep 'line 77 ' "$D/archives/files.zip" lines.txt
#: gzip
zcat "$D/archives/lines.gz" | md5sum; gzip -dc < "$D/archives/lines.gz" | cmp - "$D/text/lines.txt" && echo same; gzip -t "$D/archives/files.tar.gz"; gzip -l "$D/archives/lines.gz" | awk '{print $1, $2}'; gzip -nc "$D/tokenizer.json" | zcat | cmp - "$D/tokenizer.json"; gzip -nc < "$D/text/lines.txt" | md5sum; gzip -nkc "$D/text/words.txt" > w.gz; gunzip -c "$D/archives/lines.gz" | tail -n1; zdiff "$D/archives/lines.gz" "$D/text/lines.txt" && echo same
#: xz, bzip2
xz -dc "$D/archives/lines.xz" | cmp - "$D/text/lines.txt" && echo same; xz -t "$D/archives/files.tar.xz"; xz -l --robot "$D/archives/lines.xz"; xz -0 -T2 -kc "$D/tokenizer.json" | xz -dc | md5sum; xzcat < "$D/archives/lines.xz" | tail -n1; bzip2 -dc "$D/archives/lines.bz2" | md5sum; bzcat < "$D/archives/lines.bz2" | md5sum; bzip2 -kc "$D/text/words.txt" | md5sum; bzip2 -t "$D/archives/lines.bz2"
#: file
file "$D"/* "$D"/*/*; file -i "$D"/images/* "$D"/archives/*; file - < "$D/images/ramp.png"; file -z "$D/archives/lines.gz"; file "$D/none"
#: diff
cp -r "$D/src" copy; chmod -R u+w copy; echo more >> copy/plus.h; rm copy/Makefile; echo new > copy/sub/new; diff -r "$D/src" copy; diff -u --label a --label b "$D/src/plus.h" copy/plus.h; diff -rq "$D/text" "$D/src" | sort; diff - "$D/config.json" < "$D/config.json" && echo same; diff "$D"/model-0000[12]*; diff3 -m "$D/src/plus.h" "$D/src/plus.h" copy/plus.h; sdiff -s "$D/src/plus.h" copy/plus.h; diff -q "$D/gguf/model-q8_0.gguf" "$D/gguf/model-q8_0.gguf" && diff -N "$D/none" "$D/empty"
#: patch
cp "$D/src/hello.c" h.c; chmod u+w h.c; sed s/hello/bye/ "$D/src/plus.h" > p; diff -u --label a --label b "$D/src/plus.h" p > d; install -m 644 "$D/src/plus.h" out; patch -s out < d && cmp out p && echo patched
#: sed
sed -n 2,3p "$D/text/lines.txt"; sed -f "$D/src/edit.sed" "$D/text/lines.txt"; sed '$!d' "$D"/text/*.txt; sed -s -n '$=' "$D"/src/*.c; sed = < "$D/src/plus.h"; sed -n "r $D/src/plus.h" <<< x; sed "R $D/text/left.txt" "$D/src/plus.h"; sed -n "/two/w out" "$D/text/crlf.txt"; sed -z 's/\n/,/g' "$D/src/plus.c"; sed 1q "$D/none" "$D/src/plus.c"; sed p "$D/src"
#: mawk and gawk
for awk in mawk gawk; do $awk -f "$D/src/sums.awk" "$D/text/numbers.txt"; $awk 'FNR == 1 { print FILENAME, $0 }' "$D"/src/*.c; $awk 'NR == FNR { a[$1] = $2; next } $1 in a { n++ } END { print n }' "$D/text/left.txt" "$D/text/right.txt"; $awk -v f="$D/text/left.txt" 'BEGIN { while ((getline l < f) > 0) n++; close(f); getline l < f; print n, l; "wc -l < \"" f "\"" | getline c; print c; while ((getline l < "none") > 0); }'; $awk '{ n[$1]++ } END { for (w in n) print w, n[w] }' < "$D/text/words.txt" | sort; done; gawk -b 'BEGIN { RS = "\0" } END { print NR }' "$D/gguf/model-q8_0.gguf"; gawk 'ENDFILE { print FNR }' "$D"/text/*.txt; gawk "@include \"$D/src/sums.awk\"" "$D/text/numbers.txt"
#: xxd
xxd -s 100 -l 64 "$D/gguf/model-q8_0.gguf"; xxd -p "$D/config.json" | xxd -r -p | cmp - "$D/config.json" && echo same; xxd < "$D/src/plus.h"; xxd -b -c 4 "$D/text/crlf.txt"; xxd -i < "$D/src/plus.c"; xxd -s -16 "$D/tokenizer.json"
#: jq
jq -c . "$D/config.json"; jq '.model.vocab | length' "$D/tokenizer.json"; jq -r .hidden_size < "$D/config.json"; jq -s -c 'map(keys)' "$D"/*n_config.json "$D/config.json"; jq -n -c --slurpfile a "$D/config.json" '$a'; jq . "$D/none"
#: bc, less, ed
less "$D/src/plus.h" | cat; cat "$D/src/plus.h" | less; ed -s "$D/src/plus.h" <<< $'1p\nw copy\nq'; bc <(head -n 5 "$D/text/numbers.txt") < /dev/null; more "$D/src/plus.c" < /dev/null | cat
#: openssl
openssl dgst -sha256 "$D"/*.json; openssl dgst -md5 < "$D/tokenizer.json"; openssl base64 -in "$D/config.json"; openssl enc -aes-256-ctr -K 00 -iv 00 -in "$D/gguf/model-q8_0.gguf" 2>/dev/null | md5sum; openssl rand -rand "$D/tokenizer.json" 1 | wc -c
#: curl
curl -sS "file://$D/config.json"; curl -sS -r 100-199 "file://$D/tokenizer.json" | md5sum; curl -sS -o out "file://$D/gguf/model-q8_0.gguf"; curl -sS "file://$D/none"; echo $?; curl -sSI "file://$D/src/plus.h" | grep -i length
#: sqlite3
sqlite3 -readonly "$D/db/data.sqlite" '.read '"$D/src/query.sql" '.tables' 'select name, size from tensor order by size desc limit 3' 'pragma integrity_check' 'select sum(length(head)) from tensor' 'delete from tensor'; sqlite3 "file:$D/db/data.sqlite?immutable=1" 'select count(*) from tensor where size > 1000000'; sqlite3 "file:$D/db/data.sqlite?mode=ro" 'pragma mmap_size=1000000' 'select max(size) from tensor'; sqlite3 -readonly "$D/db/data.sqlite" .dump | md5sum; sqlite3 -readonly "$D/db/data.sqlite" '.backup copy.sqlite' && cmp "$D/db/data.sqlite" copy.sqlite; rm -f copy.sqlite; sqlite3 :memory: ".import --csv \"$D/text/table.csv\" t" 'select count(*) from t' "select length(readfile('$D/tokenizer.json'))"; sqlite3 -readonly "$D/db/none"  .tables 2>&1
#: imagemagick
identify "$D"/images/* | sed 's/ [0-9.]*u [0-9:.]*$//'; convert "$D/images/ramp.png" -resize 50% -depth 8 ppm:- | md5sum; convert "$D/images/dots.ppm" -flip out.ppm; convert "$D"/images/* -append rgb:- | md5sum; identify -format '%w %h %[mean]\n' "$D/images/ramp.png"; compare -metric AE "$D/images/ramp.png" "$D/images/ramp.png" null: ; convert "$D/none.png" x.png 2>&1 | cut -c1-30 | head -n 1; identify - < "$D/images/dots.ppm" | cut -c1-20; convert "$D/images/ramp.png[40x30+10+10]" -strip rgba:- | md5sum
#: make
make -s -f "$D/src/Makefile" && ./hello; make -f "$D/src/Makefile"; make -n -B -f "$D/src/Makefile"; make -s -C "$D/src" -n 2>&1 | head -n 3; rm *.o hello
#: gcc
gcc -o hello "$D"/src/hello.c "$D/src/plus.c" && ./hello; gcc -I"$D/src" -M "$D/src/hello.c" | tr ' ' '\n' | grep DIR; cd "$D/src" && gcc -c -o "$W/h.o" -save-temps=obj hello.c && gcc -E hello.c | grep -c .; cd "$W" && gcc -x c -I"$D/src" -c -o in.o - < "$D/src/hello.c"; g++ -o hellopp "$D/src/hello.cpp" && ./hellopp; gcc -include "$D/src/plus.h" -fsyntax-only "$D/src/plus.c"; gcc "$D/src/none.c" 2>&1 | head -n 1; rm -f hello hellopp *.o *.i *.s
#: ld
gcc -o a "$D/src/hello.c" "$D/bin/plus.o" && ./a; gcc -o b "$D/src/hello.c" -L"$D/bin" -l:libplus.a && ./b; gcc -o c "$D/src/hello.c" -L"$D/bin" -lplus && readelf -d c | grep -o 'libplus.*'; ld -r -o d.o "$D/bin/plus.o" && nm d.o; rm -f a b c d.o
#: binutils
cd "$D/bin"; nm hello | grep -w main | cut -c17-; nm -D libplus.so | grep plus | cut -c17-; objdump -d plus.o; readelf -h -S libplus.so; readelf -sW plus.o; size libplus.so hello; strings -n 8 hello | grep bucket; strip -o "$W/stripped" hello && strip --strip-unneeded -o "$W/lib" libplus.so; "$W/stripped"; objcopy -O binary -j .text plus.o "$W/text"; addr2line -f -e hello 0 | head -n1; c++filt < "$D/src/plus.h"; ld -v > /dev/null
#: ldd
ldd "$D/bin/hello" 2>&1; echo $?; cp "$D/bin/hello" . && ldd ./hello | grep -c libc; rm hello
#= 	not a dynamic executable
#= 1
#= 1
#: git
cd "$D"; git hash-object *.json gguf/*; git hash-object --stdin < tokenizer.json; git grep --no-index -c hello src; git diff --no-index --stat src/plus.c src/plus.h; git diff --no-index text/left.txt text/left.txt && echo same
export GIT_DIR="$TMPDIR/git.$BASHPID" GIT_WORK_TREE="$D"; git init -q; git add .; git status --porcelain | wc -l; git ls-files -s | md5sum; git write-tree; git -c user.name=a -c user.email=a@b commit -q -m all --date=@0; git status --short; git diff --stat; git grep -c omega; git ls-files -m -o; git archive --format=tar --mtime=@0 HEAD 2>/dev/null | wc -c > /dev/null; git log --format=%T; git blame -s src/plus.h 2>/dev/null | cut -d' ' -f2-; git check-ignore src; git stash list; rm -rf "$GIT_DIR"
#: git from a subdirectory
cd "$D/src"; export GIT_DIR="$TMPDIR/git.$BASHPID" GIT_WORK_TREE="$D"; git init -q; git add sub ../text/left.txt; git ls-files; git status --short -uno ..; git rm -q --cached sub/deep.h; git status --short -uall . | head -n 3; rm -rf "$GIT_DIR"

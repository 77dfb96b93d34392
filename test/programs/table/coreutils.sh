# GNU coreutils: one program a row, with the options that ask the file system something different.

#: ls
ls "$D"; ls -a "$D/odd names"; ls -R "$D"; ls -1F "$D"; ls -p --group-directories-first "$D"; ls -Q "$D/odd names"
ls -U "$D/many/1" | sort; ls -d "$D" "$D"/text; ls "$D/none"; ls -S "$D/text"; ls -t "$D/text"; ls -X "$D/src"
#: ls -l
cd "$D/odd names" && ls -l --time-style=full-iso -- .h* [^d]* ; ls -f "$D/many/2" | sort; ls -ln "$D"/*.json; ls -sk "$D/blocks"; ls -lh "$D/arrays"/*
ls -l --zero "$D"/text/*; ls -lZ "$D/config.json"; ls -l "$D/config.json/"; ls -lL "$D"/src/*.c; ls -gG --author "$D/empty"
#: cat
cat "$D"/*.json | sha256sum; cat -A "$D/text/crlf.txt"; cat -n "$D/odd names"/*; cat "$D/empty" "$D/none" "$D/text"
cat < "$D/config.json"; cat - "$D/src/plus.h" < "$D/src/plus.c"; cat "$D"/gguf/* | md5sum; cat "$D"/model* > all
#: tac
tac "$D/text/no newline at end.txt"; tac "$D/text/lines.txt" | md5sum; tac < "$D/src/hello.c"
#: head
head -n 2 "$D/text/lines.txt"; head -c 10 "$D/tokenizer.json"; head -c -100 "$D/text/numbers.txt" | md5sum
head -n -19998 "$D/text/lines.txt"; head -qn1 "$D"/src/*.c; head -n 3 < "$D/text/words.txt"; head -zn1 "$D/gguf"/* | md5sum
#: tail
tail -n 2 "$D/text/lines.txt"; tail -c 100 "$D/tokenizer.json"; tail -n +19999 "$D/text/lines.txt"; tail -c +3145000 "$D/gguf/model-q8_0.gguf" | md5sum
tail -n 3 < "$D/text/words.txt"; tail -v -n1 "$D"/src/*.c; tail -c 5 < "$D/config.json"; tail "$D/empty"
# A store file cannot be watched, nor can it change: tail is told so, and polls.
#: tail -f
#! tail: inotify resources exhausted
#! tail: inotify cannot be used, reverting to polling
#! tail: inotify resources exhausted
#! tail: inotify cannot be used, reverting to polling
sleep 0.3 & tail -s 0.1 -n 2 -f --pid=$! "$D/text/lines.txt"
sleep 0.3 & tail -s 0.1 -c 20 -F --pid=$! "$D/text/words.txt"
#: dd
M="$D/model-00001-of-00002.safetensors"
dd if="$M" bs=1M status=none | sha256sum
dd if="$M" bs=4k skip=100 count=10 iflag=direct status=none | sha256sum
dd if="$M" bs=65536 iflag=direct,fullblock status=none | sha256sum
dd if="$M" bs=7919 skip=13 count=101 status=none | sha256sum
dd if="$M" bs=1000 skip=1234567 count=9999 iflag=skip_bytes,count_bytes status=none | sha256sum
dd if="$M" ibs=3001 obs=513 count=50 status=none | sha256sum
dd bs=100k skip=2 count=3 status=none < "$M" | sha256sum
dd if="$D/sparse/holes" of=holes bs=4k conv=sparse status=none; dd if="$D/text/words.txt" conv=ucase status=none | md5sum
dd if="$D/empty" of=empty status=none; dd if="$D/none" status=none; dd if="$D/text/numbers.txt" of=part bs=10 seek=5 count=2 status=none
dd if="$D/config.json" iflag=nofollow,noatime,nonblock,cio,binary bs=10 count=1 2>/dev/null | md5sum
#: stat
stat -c '%n %F %s %a %A %h %y %Y %U %G %u %g %t %T %N %m' "$D"/*.json "$D/odd names"/[^d]* "$D/empty"
stat -c '%n %F' "$D" "$D/text" "$D"/src/sub; stat -c '%b %B' "$D"/blocks/* "$D/empty"; stat "$D/none"; stat -L -c %s - < "$D/config.json"
stat -f -c '%T %s %S' "$D" "$D/config.json"
#: du
du -k "$D"/blocks/*; du -b "$D/text"/*; find "$D" -type f -print0 | sort -z | du -b --files0-from=- > sizes; du -ch --apparent-size "$D"/*.json
du -ab "$D/many" "$D/deep" | grep f | sort; du --inodes -S "$D/many" | sort; du -xlb "$D/empty" "$D/none"; du --time -b "$D/config.json"
#: md5sum
md5sum "$D"/*.* "$D/empty"; md5sum < "$D/tokenizer.json"; cd "$D/odd names" && md5sum -- * .hidden > "$W/sums" && md5sum -c "$W/sums"
#: sha256sum
cd "$D" && find . -type f -print0 | sort -z | xargs -0 sha256sum > "$W/sums"; sha256sum --quiet -c "$W/sums"; sha256sum none
#: b2sum, cksum, sum and their kin
b2sum "$D"/*.safetensors; cksum "$D"/gguf/*; sum -s "$D/text/words.txt"; sum "$D/text/words.txt"; sha1sum "$D"/arrays/*; sha224sum "$D/empty"
sha384sum < "$D/tokenizer.json"; sha512sum "$D"/text/*; cksum -a sm3 --untagged "$D/config.json"; cksum -a blake2b "$D/config.json"
#: wc
wc "$D"/text/*; wc -l < "$D/text/lines.txt"; wc -c "$D"/gguf/* "$D/empty"; wc -L "$D/text/long line.txt"; wc -m "$D/text/utf8.txt"; wc -c < "$D/tokenizer.json"
printf '%s\0' "$D"/src/*.c | wc --files0-from=-; wc "$D/text"
#: sort
sort "$D/text/words.txt" | uniq -c; sort -n "$D/text/numbers.txt" -o sorted; sort -u "$D/text/words.txt"; sort -rS 100k "$D/text/lines.txt" | md5sum
sort --parallel=3 -k3 "$D/text/lines.txt" | md5sum; sort < "$D/text/words.txt" | md5sum; sort -m "$D/text/left.txt" "$D/text/right.txt" | md5sum
sort -c "$D/text/left.txt" && sort -C "$D/text/words.txt"; echo $?; printf '%s\0' "$D"/src/*.h | sort --files0-from=-; sort "$D/none"; sort -R --random-source="$D/gguf/model-q8_0.gguf" "$D/text/left.txt" | md5sum
#: uniq
sort "$D/text/words.txt" > words; uniq -c words; uniq "$D/text/words.txt" | md5sum; uniq -d "$D/text/words.txt" out; uniq < "$D/text/utf8.txt" | wc
#: split
split -n 5 "$D/gguf/model-q8_0.gguf" piece; split -l 3000 -d "$D/text/lines.txt" lines; split -b 300k --additional-suffix=.x "$D/tokenizer.json" json
split -n r/3 "$D/text/words.txt" turn; split -n l/2/4 "$D/text/words.txt" | md5sum; split -C 10000 "$D/src/hello.c"; split -b 100k - in < "$D/text/numbers.txt"
#: csplit
csplit -s "$D/text/no newline at end.txt" /two/; csplit "$D/src/hello.c" '/int/' '%ret%'
#: cmp
cp "$D/tokenizer.json" same; cmp "$D/tokenizer.json" same && echo same; printf X | dd of=same bs=1 seek=300000 conv=notrunc status=none; cmp -l "$D/tokenizer.json" same
cmp "$D"/model-0000[12]*; cmp -n 100 -i 5:5 "$D"/model-0000[12]*; cmp "$D/empty" "$D/config.json"; cmp - "$D/config.json" < "$D/config.json" && echo same
#: od
od -A d -t x1z -j 3000 -N 64 "$D/gguf/model-q8_0.gguf"; od -c "$D/text/crlf.txt"; od -t f4 -N 16 < "$D/arrays/raw.f32"; od "$D"/gguf/* "$D/empty" | md5sum; od -j 100000000 "$D/config.json"
#: install
install -m 640 "$D/config.json" one; install -D -p "$D"/src/plus.? -t a/b; install "$D/bin/hello" . && ./hello; install -C "$D/config.json" one; install -s "$D/bin/hello" stripped && ./stripped
#: realpath
realpath "$D/text/../config.json"; realpath -m "$D/none/x"; realpath -e "$D/none"; realpath --relative-to="$D/src" "$D/text/lines.txt"; ln -s "$D/text" link; realpath link/lines.txt; realpath -s link; realpath -L link/..; realpath "$D/config.json/x"
#: readlink
readlink "$D/config.json"; echo $?; readlink -f "$D/text/lines.txt" "$D/text/none"; readlink -e "$D/none"; ln -s "$D/config.json" link; readlink link; readlink -f link; readlink -v "$D/src"; cd "$D/src" && readlink -f sub/../plus.c
#: ln
ln -s "$D/config.json" one && cat one; ln -s "$D" dir && cat dir/text/../config.json | md5sum; ln -sr "$D/text" rel && ls rel && rm rel; ln -s "$D/none" dangling; cat dangling; cp -P one two; cat dir/src/sub/deep.h; [ one -ef "$D/config.json" ] && echo same
#: cp
cp "$D/config.json" .; cp -r "$D" copy; cp -p "$D/text/lines.txt" .; cp "$D"/src/*.c "$D/none" .; (cd "$D" && cp --parents src/sub/deep.h "$W"); cp -n "$D/src/plus.h" config.json; cp -u "$D/config.json" .; cp -T "$D/src" src2; cp --reflink=auto "$D/tokenizer.json" .
cp "$D/text" nothing; cp -b "$D/src/plus.h" config.json; cp < "$D/config.json" /dev/stdin here; cp --attributes-only "$D/config.json" only
#: cp -a
cp -a "$D" copy; diff -r "$D" copy && echo same; cp -a "$D"/odd* .; cp -a "$D/config.json" x
#: cp --sparse
cp --sparse=always "$D"/sparse/* .; stat -c '%n %s %b' zeros; cp --sparse=never "$D/sparse/zeros" full; stat -c '%s %b' full; cp "$D/sparse/holes" auto; cmp auto "$D/sparse/holes" && echo same
#: truncate, touch and chmod by the example of a store file
truncate -r "$D/tokenizer.json" sized; stat -c %s sized; touch -r "$D/config.json" timed; chmod --reference="$D/config.json" timed
#: shuf
shuf --random-source="$D/gguf/model-q8_0.gguf" "$D/text/words.txt" | md5sum; shuf -n 3 --random-source="$D/tokenizer.json" < "$D/text/numbers.txt"; shuf "$D/text/words.txt" | sort | md5sum
#: comm, join, paste
comm "$D/text/left.txt" "$D/text/right.txt" | md5sum; comm -12 <(sort "$D/text/words.txt") "$D/text/left.txt"; join "$D/text/left.txt" "$D/text/right.txt"; join -v1 "$D/text/left.txt" - < "$D/text/right.txt" | md5sum; paste "$D/text/left.txt" "$D/text/right.txt" | md5sum; paste -s "$D/src/plus.h" "$D/empty"; paste - - < "$D/src/hello.c"
#: nl, fold, fmt, pr, expand
nl "$D/src/hello.c"; fold -w 1000 "$D/text/long line.txt" | md5sum; fmt "$D/web/page 2.html" | md5sum; pr -t -3 "$D/text/numbers.txt" | md5sum; expand "$D/src/hello.c"; unexpand -a "$D/text/lines.txt" | md5sum; ptx "$D/src/plus.h"
#: cut, tr, tsort, numfmt, base64
cut -d ' ' -f 2 "$D/text/lines.txt" | md5sum; cut -b 3-5 < "$D/text/words.txt" | md5sum; tr a-z A-Z < "$D/text/words.txt" | md5sum; tsort "$D/text/left.txt" | wc -l; base64 "$D/gguf"/* | md5sum; base32 < "$D/config.json"; basenc --base16 "$D/empty" "$D/x"; numfmt --to=iec < "$D/text/numbers.txt" | md5sum
#: tee
tee a b < "$D/tokenizer.json" | md5sum; cat "$D"/src/* 2>&1 | tee c | wc -c
#: test
t() { test "$@"; echo "$* $?"; }
for f in config.json empty none src text/lines.txt/; do for o in -e -f -d -s -r -w -x -h -b -c -p -S -O -G -N; do [ $o = -w ] || [ $o = -N ] || t $o "$D/$f"; done; done
t "$D/config.json" -ot "$D/text/lines.txt"; t "$D/text/lines.txt" -nt "$D/config.json"; t "$D/config.json" -ef "$D/src/../config.json"; t "$D/empty" -ef "$D/config.json"; /usr/bin/test -r "$D/src/plus.c"; echo $?; /usr/bin/[ -s "$D/empty" ]; echo $?
#: timeout, nohup, nice, env, stdbuf: programs that start others
timeout 50 md5sum "$D/config.json"; nice cat "$D/src/plus.h"; env -u HOME head -n1 "$D/src/hello.c"; nohup wc -c "$D/empty" < "$D/empty"; stdbuf -oL sed p "$D/src/plus.h"; setsid -w wc -l "$D/src/plus.c"
#: pathchk, basename, dirname, pwd
cd "$D/src/sub" && pwd && pwd -P && /bin/pwd; basename "$PWD"; dirname "$D/x"; pathchk "$D/config.json"; cd ..; pwd
#: df
df --output=target "$D/config.json" > a; df --output=target "$D" > b; cmp a b && rm a b; df "$D/none"

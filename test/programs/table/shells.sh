# Shells: redirections, globs, read, and descriptors that scripts keep open.

#: bash: an open descriptor is shared by what it starts
exec 3<"$D/text/lines.txt"; head -n1 <&3; head -n1 <&3; read b <&3; echo "$b"; exec 4<&3; read c <&4; echo "$c"; (read d <&3; echo "$d"); read e <&4; echo "$e"; exec 3<&-; read f <&4; echo "$f"
#: bash: redirections
wc -c < "$D/tokenizer.json"; cat < "$D/src/plus.h" - <<< "and a here string"; cat <<E < "$D/empty" "$D/src/plus.h"
E
{ read a; read b; cat | wc -l; } < "$D/text/lines.txt"; echo "$a,$b"; while read -r x y; do s=$y; done < "$D/src/hello.c"; echo "$s"; wc -c <"$D/none"; echo $?; (cat) < "$D/config.json"; cat <&5 5<"$D/src/sums.awk"; if read -r l; then echo "$l"; fi < "$D/text/left.txt"
cat 0<"$D/src/plus.h" 3<"$D/src/plus.c" <&3; : < "$D/text" && echo directory
#: bash: read, mapfile
mapfile -t a < "$D/text/left.txt"; echo ${#a[@]} "${a[1499]}"; mapfile -n 3 -s 5 -u 7 b 7<"$D/text/right.txt"; printf %s "${b[@]}"; read -r -N 20 x < "$D/text/utf8.txt"; echo "$x"; read -d e y < "$D/text/words.txt"; echo "$y"; IFS=, read -ra f < "$D/text/table.csv"; echo "${f[@]}"; readarray -d '' z < "$D/src/plus.h"; echo "${#z[0]}"; read -t 0 < "$D/src/plus.h"; echo $?
#: bash: globs
cd "$D"; echo *; echo */; echo .*; shopt -s globstar extglob nullglob dotglob nocaseglob; printf '%q\n' **/*.txt odd*/*; echo **/ | wc -w; echo @(src|text)/!(*.c); echo none*; echo deep/*/*/*/*/*/*/*/*/*/*; echo CONFIG*; echo "$D"/text/[l-r]*; echo many/?/f00[0-4]; echo {src,text}/{plus.h,lines.txt,none}
#: bash: completion and tests
compgen -f "$D/te"; compgen -d "$D/" | sort; [[ -f $D/config.json && -r $D/config.json && ! -d $D/config.json && -d $D/src && ! -e $D/none && -s $D/config.json ]] && echo yes; [[ $D/config.json -ot $D/empty ]]; echo $?; [[ -x $D/bin/hello ]] || echo no; type "$D/bin/hello" 2>&1 | sed 's/.*: //'
#: bash: <()
diff <(sort "$D/text/words.txt") <(sort -r "$D/text/words.txt" | sort) && echo same; cmp <(cat "$D/gguf/model-q8_0.gguf") "$D/gguf/model-q8_0.gguf" && echo same; tee >(md5sum > a) < "$D/tokenizer.json" > b; wait; while [ ! -s a ]; do :; done; cat a; x=$(<"$D/src/plus.h"); echo "${#x}"; y=`cat "$D/empty"`; echo "$y"
#: bash: cd, pushd
cd "$D/src/sub" && pwd && cat deep.h && cd .. && ls && cd - && pushd ../../text && head -n1 lines.txt && popd && pwd -P && dirs; cd "$D/config.json"; cd "$D/none"; CDPATH=$D cd text && pwd; ln -s "$D/src" "$W/l"; cd "$W/l/sub" && pwd && pwd -P && cd .. && pwd && cd -P "$W/l/.." && pwd
#: bash: source, scripts
#! oss-connector: programs cannot be run from the store: copy the file to a local disk first
source "$D/src/functions.sh"; greet you; echo $where; bash "$D/src/script.sh" "$D/text/lines.txt"; bash < "$D/src/functions.sh" && . "$D/src/functions.sh" && greet again; "$D/src/script.sh"; echo $?; cp "$D/src/script.sh" . && chmod +x script.sh && ./script.sh "$D/text/words.txt"; bash -c '. "$1"; greet "$2"' x "$D/src/functions.sh" y; exec bash "$D/src/script.sh" "$D/text/left.txt"
#: bash: jobs
for f in "$D"/text/*; do md5sum < "$f" > "${f##*/}" & done; wait; cat "$D/gguf/model-q8_0.gguf" | (head -c 10 > x; cat > y) ; coproc cat < "$D/src/plus.h"; cat <&${COPROC[0]}; kill %1 2>/dev/null; trap 'echo end' EXIT; (exec 9<"$D/src/plus.c"; exec cat <&9)
#: bash: history, printf into, exec with a store file
exec < "$D/text/left.txt"; read a; read b; echo "$a $b"; head -n 1; exec {fd}<"$D/text/right.txt"; read -u $fd c; echo "$c"; cat /dev/fd/$fd | md5sum
#: dash
exec dash -c 'cd "$D"; echo *; while read -r a; do last=$a; done < text/lines.txt; echo "$last"; exec 3<text/left.txt; head -n1 <&3; read b <&3; echo "$b"; . src/functions.sh; greet dash; cat < src/plus.h; for f in many/?/f00*; do wc -c < $f; done; test -r config.json && echo readable; cd src/sub && pwd; dash ../script.sh "$D/text/words.txt"; cat none; cat < none; echo $?'
#: sh: pipes from a store's standard input
sh -c 'head -n1; cat | wc -l' < "$D/text/lines.txt"; sh < "$D/src/functions.sh"; sh -s x < "$D/src/script.sh"; (cd "$D" && sh -c 'for f in src/*.c; do sed -n 1p "$f"; done')

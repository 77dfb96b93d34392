# Runtimes: programs kept in ../python, ../perl, ../node, ../java, ../rust, ../cpp, and one-liners.

#: python: names
python3 "$P/python/names.py" "$D"
#: python: null pointers for names
python3 "$P/python/nothing.py" "$D"
#: python: contents
python3 "$P/python/contents.py" "$D"
#: python: copies and archives
python3 "$P/python/copies.py" "$D"
#: python: sqlite3
python3 "$P/python/database.py" "$D"
#: python: subprocess
python3 "$P/python/children.py" "$D"
#: python: multiprocessing by fork
python3 "$P/python/pool.py" "$D" fork
#: python: multiprocessing by spawn
python3 "$P/python/pool.py" "$D" spawn
#: python: multiprocessing by forkserver
python3 "$P/python/pool.py" "$D" forkserver
#: python: asyncio
python3 "$P/python/waits.py" "$D"
#: python: numpy
"$PY" "$P/python/arrays.py" "$D"
#: python: http.server
python3 "$P/python/serves.py" "$D"
#: python: modules kept in the directory
cd "$D/src" && python3 -c 'import package; print(package.answer(), package.__file__.endswith("src/package/__init__.py"))'; PYTHONPATH="$D/src" python3 -m package.inner; PYTHONPATH="$D/archives/module.zip" python3 -c 'import zipped; print(zipped.answer())'; python3 - "$D" < "$P/python/names.py" | md5sum > /dev/null; python3 -c 'import runpy, sys; print(runpy.run_path(sys.argv[1])["answer"]())' "$D/src/package/inner.py"; python3 -m zipfile -l "$D/archives/files.zip"; python3 -m tarfile -l "$D/archives/files.tar.gz"; python3 -m json.tool "$D/config.json"; python3 "$D/src/package/inner.py"
#: python: a library kept in the directory
python3 -c 'import ctypes, sys; lib = ctypes.CDLL(sys.argv[1] + "/bin/libplus.so"); print(lib.plus(40, 2))
try:
    ctypes.CDLL(sys.argv[1] + "/none.so")
except OSError as e:
    print("No such file" in str(e))' "$D"
#: perl
perl "$P/perl/files.pl" "$D"
#: perl: one-liners
perl -ne 'print if /omega/ && $n++ < 2; END { print "$.\n" }' "$D/text/words.txt"; perl -0777 -ne 'print length, "\n"' "$D"/text/*.txt; perl -e 'print sort <>' "$D/text/words.txt" | md5sum; perl -I"$D/src" -MModule -e 'print Module::answer(), "\n"'; perl -MDigest::MD5 -e 'open F, "<", $ARGV[0]; binmode F; print Digest::MD5->new->addfile(*F)->hexdigest, "\n"' "$D/tokenizer.json"; perl -MCompress::Zlib -e '$g = gzopen($ARGV[0], "rb"); $n++ while $g->gzreadline($l) > 0; print "$n\n"' "$D/archives/lines.gz"; perl -e 'printf "%s %s %s\n", -s $_, -d _ ? 1 : 0, -r _ ? 1 : 0 for @ARGV' "$D"/src/*.c "$D"/text/l*; perl -pe 1 < "$D/src/plus.h"; perl -e 'print while <STDIN>' < "$D/src/plus.c"; perl -MFile::Copy -e 'copy($ARGV[0], "x") or die' "$D/tokenizer.json"
#: node
node "$P/node/files.js" "$D"
#: node: promises, workers, children
node "$P/node/waits.js" "$D"
#: node: modules and standard input
node -e 'console.log(require(process.argv[1] + "/src/module.js").answer)' "$D"; node -e 'process.stdin.on("data", d => n += d.length).on("end", () => console.log(n)); let n = 0' < "$D/tokenizer.json"; node -e 'console.log(require("fs").readFileSync(0).length)' < "$D/gguf/model-q8_0.gguf"; node "$D/src/module.js"; cd "$D/src" && node -p 'require("./module.js").answer + process.cwd().length * 0'
#: java: names
$JAVA -cp "$X" Walk "$D"
#: java: contents
$JAVA -cp "$X" Channels "$D"
#: rust
"$X/rust_files" "$D"
#: C++
"$X/cpp_files" "$D"
#: POSIX programs
"$C/readall" "$D/gguf/model-q8_0.gguf"; "$C/dirwalk" "$D" | sort | md5sum > /dev/null; "$C/statall" "$D/config.json" > /dev/null
#: nginx
python3 "$P/python/nginx.py" "$D"

"""shutil, tempfile, os.sendfile and kin: what is made from the directory's files."""
import filecmp
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

D = pathlib.Path(sys.argv[1])
shutil.copytree(D, "tree")
compared = filecmp.dircmp(D, "tree")
print(compared.left_only, compared.right_only, compared.diff_files, sorted(compared.common))
print(filecmp.cmp(D / "tokenizer.json", "tree/tokenizer.json", shallow=False))
shutil.rmtree("tree")
for copy in shutil.copyfile, shutil.copy, shutil.copy2:
    print(copy(D / "gguf" / "model-q8_0.gguf", copy.__name__))
with open(D / "text" / "lines.txt") as f, open("object", "w") as out:
    f.read(100)
    shutil.copyfileobj(f, out)
shutil.copytree(D / "odd names", "odd", ignore=shutil.ignore_patterns("new*"))
os.chdir(D)  # make_archive with a root changes there by itself; the names must be the same
shutil.make_archive(os.environ["W"] + "/made", "zip", D / "src")
os.chdir(os.environ["W"])
with zipfile.ZipFile("made.zip") as z:
    print(sorted((i.filename, i.file_size, i.CRC, i.date_time) for i in z.infolist() if not i.is_dir()), z.testzip())
os.unlink("made.zip")
shutil.unpack_archive(D / "archives" / "files.tar.gz", "unpacked")
try:
    shutil.move(D / "config.json", D / "none" / "config.json")
except OSError as e:
    print(type(e).__name__)

fd = os.open(D / "gguf" / "model-q8_0.gguf", os.O_RDONLY)
out = os.open("parts", os.O_RDWR | os.O_CREAT, 0o600)
print(os.sendfile(out, fd, 1000, 500000), os.lseek(fd, 0, os.SEEK_CUR))
print(os.sendfile(out, fd, None, 70000), os.lseek(fd, 0, os.SEEK_CUR))
try:
    done = os.copy_file_range(fd, out, 100000, offset_src=2000000)
except OSError:
    done = os.write(out, os.pread(fd, 100000, 2000000))
print(done)
r, w = os.pipe()
done = os.splice(fd, w, 40000, offset_src=12345)
print(done > 0, os.write(out, os.read(r, done)) == done, os.lseek(fd, 0, os.SEEK_CUR))
print(subprocess.run(["tail", "-c", "+2900000"], stdin=fd, stdout=out).returncode)

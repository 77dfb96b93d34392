"""What `make install` puts where, and that it works from there."""
import filecmp
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import KEY
from daemon import BUILD, TOP, Daemon

PREFIX = "/usr/local"


def install(to, **more):
    # Also found where the tests run under a make of their own.
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "DESTDIR", "PREFIX")}
    words = [f"{name}={value}" for name, value in {"DESTDIR": to, "PREFIX": PREFIX, "B": BUILD, **more}.items()]
    out = subprocess.run(["make", "-s", "-C", TOP, "install", *words], env=env, capture_output=True, text=True,
                         timeout=300)
    assert out.returncode == 0, out.stdout + out.stderr
    return pathlib.Path(to)


@pytest.fixture(scope="module")
def dest(tmp_path_factory):
    return install(tmp_path_factory.mktemp("dest"))


@pytest.fixture(scope="module")
def root(dest):
    return dest / PREFIX.lstrip("/")


def run(*argv, **kw):
    out = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=60, **kw)
    assert out.returncode == 0, (argv, out.stdout, out.stderr)
    return out.stdout


def test_everything_is_where_deployments_look_for_it(dest, root):
    for name, mode in (("bin/osscd", 0o755), ("bin/ossc", 0o755), ("lib/libossc.so", 0o755),
                       ("lib/libossc_preload.so", 0o755), ("include/ossc.h", 0o644),
                       ("lib/pkgconfig/libossc.pc", 0o644), ("lib/systemd/system/osscd.service", 0o644),
                       ("share/man/man1/ossc.1", 0o644), ("share/man/man3/ossc.3", 0o644),
                       ("share/man/man5/osscd.yaml.5", 0o644), ("share/man/man7/libossc_preload.7", 0o644),
                       ("share/man/man8/osscd.8", 0o644),
                       ("share/doc/oss-connector/guides/transformers.md", 0o644)):
        assert (root / name).is_file(), name
        assert (root / name).stat().st_mode & 0o777 == mode, name
    assert filecmp.cmp(dest / "etc/oss-connector/config.json", TOP / "conf/config.json", shallow=False)


def test_no_file_names_the_place_where_it_was_built(dest, root):
    assert "@" not in (root / "lib/pkgconfig/libossc.pc").read_text()
    service = (root / "lib/systemd/system/osscd.service").read_text()
    assert f"ExecStart={PREFIX}/bin/osscd\n" in service and "@" not in service
    for path in [p for p in dest.rglob("*") if p.is_symlink()]:
        assert not os.path.isabs(os.readlink(path)), path
    for name in ("bin/osscd", "bin/ossc", "lib/libossc.so", "lib/libossc_preload.so"):
        dynamic = run("readelf", "-d", root / name)
        assert str(BUILD) not in dynamic and str(TOP) not in dynamic


def test_an_edited_configuration_survives_the_next_release(tmp_path):
    path = install(tmp_path) / "etc/oss-connector/config.json"
    path.write_text('{"logLevel": 2}\n')
    (tmp_path / PREFIX.lstrip("/") / "bin/ossc").unlink()
    install(tmp_path)
    assert path.read_text() == '{"logLevel": 2}\n'
    assert (tmp_path / PREFIX.lstrip("/") / "bin/ossc").is_file()


def test_other_places_can_be_named(tmp_path):
    dest = install(tmp_path, PREFIX="/opt/ossc", SYSCONFDIR="/opt/etc")
    assert (dest / "opt/ossc/bin/osscd").is_file() and (dest / "opt/etc/oss-connector/config.json").is_file()
    assert sorted(os.listdir(dest)) == ["opt"]
    assert "prefix=/opt/ossc\n" in (dest / "opt/ossc/lib/pkgconfig/libossc.pc").read_text()


# ---- what the libraries ask of a system ----------------------------------------------------------


def test_the_library_has_a_soname_that_links_find(root):
    dynamic = run("readelf", "-d", root / "lib/libossc.so")
    soname = re.search(r"SONAME.*\[(libossc\.so\.\d+)\]", dynamic)[1]
    assert (root / "lib" / soname).resolve() == (root / "lib/libossc.so").resolve()
    assert soname in run("readelf", "-d", root / "bin/ossc")


def glibc_versions(path):
    return {tuple(map(int, v.split("."))) for v in re.findall(r"\bGLIBC_([\d.]+)", run("objdump", "-T", path))}


def test_the_library_needs_libc_only_of_2_17_at_most(root):
    needed = re.findall(r"NEEDED.*\[(.+)\]", run("readelf", "-d", root / "lib/libossc.so"))
    assert all(re.match(r"(libc|libpthread|ld-linux.*)\.so", n) for n in needed), needed
    versions = glibc_versions(root / "lib/libossc.so")
    assert versions and max(versions) <= (2, 17)


def test_the_library_exports_its_header_and_nothing_else(root):
    exported = set(re.findall(r" T (\w+)", run("nm", "-D", "--defined-only", root / "lib/libossc.so")))
    declared = set(re.findall(r"\b(ossc_\w+)\(", (root / "include/ossc.h").read_text()))
    assert exported == {name for name in declared if not name.endswith("_fn")}


def test_the_preload_library_needs_nothing(root):
    dynamic = run("readelf", "-d", root / "lib/libossc_preload.so")
    assert "(NEEDED)" not in dynamic
    assert glibc_versions(root / "lib/libossc_preload.so") == set()
    weak = run("nm", "-D", "--undefined-only", root / "lib/libossc_preload.so").splitlines()
    assert all(re.match(r" +w ", line) for line in weak), weak


def test_the_preload_library_tells_its_version(root):
    shown = [line for line in run("nm", "-D", root / "lib/libossc_preload.so").splitlines() if "version" in line]
    version = run(root / "bin/ossc", "--version").split()[1]
    assert any(line.endswith(f"version_{version}") for line in shown), shown


# ---- use -----------------------------------------------------------------------------------------------


def pkg_config(dest, *words):
    if shutil.which("pkg-config") is None:
        pytest.skip("there is no pkg-config")
    env = {**os.environ, "PKG_CONFIG_PATH": str(dest / PREFIX.lstrip("/") / "lib/pkgconfig"),
           "PKG_CONFIG_SYSROOT_DIR": str(dest)}
    return run("pkg-config", *words, env=env).split()


PROGRAM = r"""
#include <ossc.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct ossc_mount *mount;
	struct ossc_file *file;
	struct ossc *conn;
	char *bytes;
	ssize_t n;

	if (argc != 2 || ossc_connect(NULL, &conn) != 0 || ossc_mount(conn, NULL, &mount) != 0 ||
	    ossc_open(mount, argv[1], &file) != 0)
		return 1;
	bytes = (char *)malloc(ossc_size(file));
	n = ossc_pread(file, bytes, ossc_size(file), 0);
	if (n < 0 || (size_t)n != ossc_size(file) || fwrite(bytes, 1, (size_t)n, stdout) != (size_t)n)
		return 1;
	free(bytes);
	ossc_close(file);
	ossc_unmount(mount);
	ossc_disconnect(conn);
	return 0;
}
"""


@pytest.mark.parametrize("compiler,name", [(["cc", "-std=c99", "-D_DEFAULT_SOURCE"], "p.c"), (["c++"], "p.cc")],
                         ids=["c99", "c++"])
def test_a_program_builds_with_pkg_config_and_reads(compiler, name, dest, root, store, tmp_path):
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"there is no {compiler[0]}")
    data = os.urandom(3_000_000)
    store.put("models/m/x.bin", data)
    (tmp_path / name).write_text(PROGRAM)
    run(*compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", tmp_path / "p", tmp_path / name,
        *pkg_config(dest, "--cflags", "--libs", "libossc"))
    with Daemon.unstarted(store, prefix="m/", key=KEY) as d:
        env = d.env(LD_LIBRARY_PATH=str(root / "lib"))
        del env["OSSC_DAEMON"]
        out = subprocess.run([tmp_path / "p", "x.bin"], env=env, capture_output=True, timeout=60)
        assert out.returncode == 0 and out.stdout == data, out.stderr
        # No daemon was there: the library started the one that was installed beside it.
        assert program_of(d.spawned_pid()) == (root / "bin/osscd").resolve()


def test_pkg_config_tells_the_version(dest, root):
    assert pkg_config(dest, "--modversion", "libossc") == [run(root / "bin/ossc", "--version").split()[1]]


def program_of(pid):
    """Its first argument: /proc shows the rest of a daemon to root only."""
    return pathlib.Path(os.fsdecode(pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0])).resolve()


@pytest.mark.parametrize("how", ["preload", "ossc"])
def test_what_is_installed_starts_the_daemon_that_is_installed(how, root, store):
    store.put("models/m/x.txt", b"hello\n")
    with Daemon.unstarted(store, prefix="m/", key=KEY) as d:
        if how == "preload":
            env, argv = d.preload(), ["cat", d.path("x.txt")]
            env["LD_PRELOAD"] = str(root / "lib/libossc_preload.so")
        else:
            env, argv = d.env(), [root / "bin/ossc", "cat", "x.txt"]
        del env["OSSC_DAEMON"]
        env["PATH"] = os.defpath
        out = subprocess.run(argv, env=env, capture_output=True, timeout=60)
        assert out.stdout == b"hello\n", out.stderr
        assert program_of(d.spawned_pid()) == (root / "bin/osscd").resolve()


def test_the_installed_configuration_has_no_faults(dest, root):
    out = subprocess.run([root / "bin/osscd", "--check-config", dest / "etc/oss-connector/config.json"],
                         capture_output=True, text=True, timeout=20)
    assert out.returncode == 0 and out.stderr == "", out.stderr


def test_the_manual_pages_render_without_a_complaint(root):
    if shutil.which("groff") is None:
        pytest.skip("there is no groff")
    pages = sorted(root.glob("share/man/man?/*"))
    assert len(pages) == 5
    for page in pages:
        out = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-c", page], capture_output=True,
                             timeout=30)
        assert out.returncode == 0 and out.stderr == b"", (page, out.stderr.decode())
        text = re.sub(r".\x08", "", out.stdout.decode())
        for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"):
            assert re.search(rf"^{heading}$", text, re.M), (page, heading)

"""sqlite3 on a database that cannot be written."""
import contextlib
import sqlite3
import sys

D = sys.argv[1]
for how in "mode=ro", "immutable=1", "mode=ro&immutable=1", "mode=ro&nolock=1":
    with contextlib.closing(sqlite3.connect(f"file:{D}/db/data.sqlite?{how}", uri=True)) as db:
        print(how, db.execute("pragma mmap_size=1000000").fetchall(), db.execute("pragma integrity_check").fetchone())
        print(db.execute("select count(*), sum(size), max(name) from tensor").fetchall())
        print(db.execute("select name from tensor where size between 1000 and 2000000 order by size").fetchall())
        try:
            db.execute("insert into tensor values('x', 1, null)")
        except sqlite3.OperationalError as e:
            print(e)
        copy = sqlite3.connect(":memory:")
        db.backup(copy)
        print(len("\n".join(copy.iterdump())))
db = sqlite3.connect(f"file:{D}/db/data.sqlite?mode=ro", uri=True)
other = sqlite3.connect(f"file:{D}/db/data.sqlite?mode=ro", uri=True, isolation_level=None)
other.execute("begin")
print(db.execute("select count(*) from tensor").fetchone(), other.execute("select min(size) from tensor").fetchone())
try:
    sqlite3.connect(f"file:{D}/db/none?mode=ro", uri=True)
except sqlite3.OperationalError as e:
    print(e)

"""Rows as lines of text."""

NAME = 58


def head(title):
    return (f"\n{title}\n{'':<{NAME}}{'ours':>9}{'other':>9}{'ratio':>7}  {'spread':<12}"
            f"{'reader':>7}{'daemon':>7}{'store':>7}{'r+d':>7}{'other':>7}   CPU s/GB")


def figure(x):
    """Four digits or so of any size."""
    return f"{x:.0f}" if x >= 1000 else f"{x:.1f}" if x >= 100 else f"{x:.2f}"


def goal(g):
    what = {"ratio": "", "cpu": "r+d ", "cpu_ratio": "CPU ratio ", "ours": ""}.get(g["what"], g["what"] + " ")
    return f"{what}{g['sign']} {g['number']:g}: {'yes' if g['met'] else 'NO'}"


def cpu_columns(row):
    of = row.get("cpu_of", {})
    cells = [of.get("reader"), of.get("daemon"), of.get("store"), row.get("cpu"), row.get("base_cpu")]
    return "".join(f"{c:>7.2f}" if c is not None else f"{'-':>7}" for c in cells)


def line(row):
    """Of a row, or of what was left out."""
    if "reason" in row:
        return f"{row['name']:<{NAME}}left out: {row['reason']}"
    low, high = row["spread"]
    goals = ", ".join(goal(g) for g in row["goals"])
    return (f"{row['name']:<{NAME}}{figure(row['ours']):>9}{figure(row['base']):>9}{row['ratio']:>7.2f}  "
            f"{f'{low:.2f}..{high:.2f}':<12}{cpu_columns(row)}   "
            f"{row['unit']} vs {row['versus']}{'   goal ' + goals if goals else ''}")


def say(row):
    print(line(row), flush=True)


def summary(rows, left_out, seconds):
    goals = [g for r in rows for g in r["goals"]]
    missed = [r for r in rows if not all(g["met"] for g in r["goals"])]
    text = [f"\n{len(rows)} rows in {seconds / 60:.1f} minutes; {sum(g['met'] for g in goals)} of {len(goals)} goals reached"]
    text += [f"  not reached: {r['set']}: {r['name']} ({', '.join(goal(g) for g in r['goals'] if not g['met'])}; "
             f"ratio {r['ratio']:.2f}{', r+d ' + format(r['cpu'], '.2f') if 'cpu' in r else ''})" for r in missed]
    if left_out:
        text.append(f"  left out: {', '.join(r['name'] for r in left_out)}")
    return "\n".join(text)

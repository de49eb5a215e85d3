"""Tables of what was measured: medians over the rounds; ratios with their range, each of the two runs of one round."""

import statistics

LABELS = {"nginx": "nginx, plain", "tollgate": "Tollgate"}
FORMS = {
    "Saturated": (("rps", "requests/s", ",.0f"), ("cpu_per_1000", "CPU s per 1,000", ".4f"), ("p50_ms", "p50 ms", ".2f"),
                  ("p99_ms", "p99 ms", ".2f"), ("p999_ms", "p99.9 ms", ".2f")),
    "Paced": (("rate", "requests/s", ",.0f"), ("cpu_per_1000", "CPU s per 1,000", ".4f"), ("p50_ms", "p50 ms", ".2f"),
              ("p99_ms", "p99 ms", ".2f")),
    "Streams": (("events_per_s", "events/s", ",.0f"), ("cpu_us_per_event", "CPU µs per event", ".2f"),
                ("kib_per_stream", "KiB per stream", ".1f")),
    "HalfLoaded": (("rate", "requests/s", ",.0f"), ("added_p50_ms", "added p50 ms", ".3f"), ("added_tail_ms", "added p99 ms, median tenth of a second", ".3f"), ("added_p99_ms", "added p99 ms, whole run", ".3f"),
                   ("p99_ms", "p99 ms", ".3f"), ("direct_p99_ms", "upstream alone, p99 ms", ".3f"),
                   ("late_p99_ms", "generator late, p99 ms", ".3f")),
}
RATIOS = {"cpu_per_1000", "cpu_us_per_event", "kib_per_stream"}


def ratio(rounds, figure):
    """Median, least and greatest of Tollgate's figure over nginx's; `None` where nginx's is too small to divide by."""
    pairs = [(one["tollgate"][figure], one["nginx"][figure]) for one in rounds]
    found = sorted(ours / theirs for ours, theirs in pairs if theirs > 0)
    return (statistics.median(found), found[0], found[-1]) if found else None


def tables(results, kinds):
    """Markdown: one table for each kind of case."""
    lines = []
    for kind, form in FORMS.items():
        names = [name for name in results if kinds[name] == kind]
        if not names:
            continue
        lines += ["", "| case | proxy | " + " | ".join(head for _, head, _ in form) + " |",
                  "| --- " * (2 + len(form)) + "|"]
        for name in names:
            for proxy, label in LABELS.items():
                cells = [format(statistics.median(one[proxy][figure] for one in results[name]), how) for figure, _, how in form]
                lines.append(f"| {name} | {label} | " + " | ".join(cells) + " |")
            cells = []
            for figure, _, _ in form:
                found = ratio(results[name], figure) if figure in RATIOS else None
                cells.append(f"**{found[0]:.2f}** ({found[1]:.2f}-{found[2]:.2f})" if found else "")
            if any(cells):
                lines.append(f"| {name} | **ratio** | " + " | ".join(cells) + " |")
    return "\n".join(lines)

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// goal is one of the project's targets with what this run measured.
type goal struct {
	text string
	met  bool
	got  string
}

func atMost(text string, got, limit float64) goal {
	return goal{text, got <= limit, fmt.Sprintf("%.2f", got)}
}

func atLeast(text string, got, limit float64) goal {
	return goal{text, got >= limit, fmt.Sprintf("%.2f", got)}
}

func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "%-20s %-12s %9s %9s %9s %7s %7s %8s %8s\n", "", "", "ns least", "median", "wall", "B", "allocs", "x floor", "scs ÷ it")
	floor := t.floor.least().ns
	for _, r := range t.rows {
		c := r.least()
		fmt.Fprintf(w, "%-20s %-12s %9.0f %9.0f %9.0f %7.0f %7.1f %8.2f", r.what, r.side, c.ns, r.middle(), c.wall, c.bytes, c.allocs, c.ns/floor)
		if peer := t.find(r.what, "scs"); peer != nil {
			fmt.Fprintf(w, " %8.1f", peer.least().ns/c.ns)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
}

func (t *table) goals() []goal {
	floor, check := t.floor.least().ns, t.check.least()
	ours := func(what string) cost { return t.find(what, "counterfoil").least() }
	faster := func(what string) float64 { return t.find(what, "scs").least().ns / ours(what).ns }
	return []goal{
		atMost("Check alone: no allocation", check.allocs, 0.01),
		atMost("Check alone: at most 3 times the floor", check.ns/floor, 3),
		atMost("no cookie: at most 1.5 times the floor", ours("no cookie").ns/floor, 1.5),
		atMost("identity: at most 2 allocations", ours("identity").allocs, 2.01),
		atMost("identity: at most 4.5 times the floor", ours("identity").ns/floor, 4.5),
		atLeast("identity: at least 20 times faster than scs", faster("identity"), 20),
		atMost("one string: at most 4 allocations", ours("one string").allocs, 4.01),
		atLeast("sign in: at least 1.4 times faster than scs", faster(rowSignIn), 1.4),
	}
}

func printGoals(w io.Writer, goals []goal) {
	for _, g := range goals {
		verdict := "met"
		if !g.met {
			verdict = "NOT MET"
		}
		fmt.Fprintf(w, "%-52s %8s  %s\n", g.text, g.got, verdict)
	}
}

func printMachine(w io.Writer) {
	fmt.Fprintf(w, "%s %s/%s, %d CPUs, %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor())
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Replace == nil && (strings.Contains(d.Path, "scs") || strings.Contains(d.Path, "gorilla")) {
				fmt.Fprintf(w, "%s %s\n", d.Path, d.Version)
			}
		}
	}
	if options := os.Getenv("GODEBUG"); options != "" {
		fmt.Fprintf(w, "GODEBUG=%s\n", options)
	}
	fmt.Fprintln(w)
}

// processor is what Linux calls it; elsewhere nothing.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

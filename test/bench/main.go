// Command bench measures Rookery beside Postfix and Dovecot, in one run on one
// machine, each with its default durability, and prints medians of three and
// ratios. It owns the load generators and the measuring; it changes nothing in
// the servers and asserts nothing: figures are for reading.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"rookery/test/bench/world"
)

func main() {
	log.SetFlags(log.Ltime)
	var (
		peers  = flag.String("peers", "", "directory with the scripts that run Postfix and Dovecot; empty measures Rookery alone")
		binary = flag.String("rookery", "bin/rookery", "the binary to measure")
		before = flag.String("before", "", "an earlier binary to measure beside, in turn, one node each: the last column")
		only   = flag.String("only", "deliver,mixed,bigbox,pop3,idle,rest",
			"which loads to run; backup and restore too; catchup and move, with three nodes; outbound alone, as root; compress, "+
				"store and image need none of the servers, but store and image an S3 server in ROOKERY_TEST_S3")
		runs     = flag.Int("runs", 3, "runs of each case; the median is printed")
		away     = flag.Int("away", 100000, "messages that come in while a node is away (catchup, image)")
		unpacked = flag.Int("unpacked", 0, "of these, how many come in while the object store is away too (image)")
		moved    = flag.Int("moved", 200000, "messages of the account that moves")
		copies   = flag.Int("copies", 0, "further folders with copies of them")
		sync     = flag.Int("sync", 10000, "messages of the mailbox that store reads")
		span     = flag.Duration("span", time.Minute, "for how long store delivers 50 messages a second")
		big      = flag.Int("big", 100000, "messages in the big mailbox")
		nodes    = flag.String("nodes", "1", "nodes of Rookery, all on this machine; 3,1 measures both beside each other")
		out      = flag.String("out", "", "also write the table to this file, as Markdown")
	)
	flag.Parse()
	if *only == "outbound" && !world.Inside() {
		log.Fatal(world.Enter())
	}
	b := &bench{binary: *binary, unpacked: *unpacked, runs: *runs, big: *big, away: *away, moved: *moved, copies: *copies,
		sync: *sync, span: *span, table: &table{}}
	defer b.stop()
	servers := strings.Trim(strings.NewReplacer("compress", "", "store", "", "image", "", "outbound", "").Replace(*only), ",") != ""
	if servers {
		if err := b.start(*binary, *nodes, *before, *peers); err != nil {
			b.stop()
			log.Fatal(err)
		}
	}
	loads := map[string]func() error{"deliver": b.deliver, "mixed": b.mixed, "bigbox": b.bigbox, "pop3": b.pop3, "idle": b.idle,
		"rest": b.rest, "backup": b.backup, "restore": b.restored,
		"catchup": b.catchup, "image": b.image, "move": b.move, "store": b.store, "compress": b.compress,
		"outbound": func() error { return b.outbound(*nodes) }}
	for _, name := range strings.Split(*only, ",") {
		load, ok := loads[name]
		if !ok {
			log.Printf("unknown load %q", name)
			continue
		}
		log.Printf("== %s", name)
		if err := load(); err != nil {
			log.Printf("%s: %v", name, err)
		}
	}
	text := fmt.Sprintf("%d cores, %s, medians of %d\n", runtime.NumCPU(), runtime.Version(), b.runs)
	if servers {
		text += "\n" + b.table.markdown(b.sides)
	}
	text += b.more
	fmt.Print("\n" + text)
	if *out != "" {
		if err := os.WriteFile(*out, []byte(text), 0o644); err != nil {
			log.Print(err)
		}
	}
}

// start starts every side: Rookery in each of the sizes, then an earlier
// binary, then the peers.
func (b *bench) start(binary, sizes, before, peers string) error {
	for i, size := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil {
			return fmt.Errorf("-nodes %s: write it like 1 or 3,1", sizes)
		}
		s, err := startRookery(binary, n, 13000+1000*i)
		if err != nil {
			return err
		}
		b.sides = append(b.sides, s)
	}
	if before != "" {
		s, err := startRookery(before, 1, 18000)
		if err != nil {
			return err
		}
		s.name = "before"
		b.sides = append(b.sides, s)
	}
	if peers == "" {
		return nil
	}
	s, err := startPeers(peers)
	if err == nil {
		b.sides = append(b.sides, s)
	}
	return err
}

func (b *bench) stop() {
	for _, s := range b.sides {
		s.stop()
	}
}

type bench struct {
	sides          []*side
	runs           int
	big            int
	away, unpacked int
	binary         string
	moved, copies  int
	sync           int
	span           time.Duration
	table          *table
	more           string // what fits no table of servers
}

// figure is one number of one side: higher is better unless less is set.
type figure struct {
	name, unit string
	less       bool
	by         []float64    // by side
	spread     [][2]float64 // of the runs, least and most, by side
}

type table struct{ rows []figure }

// each runs a case on every side in turn, runs times, and files the medians of
// the figures it gives.
func (b *bench) each(name string, fn func(s *side) (map[string]float64, error), units []unit) {
	got := make([]map[string][]float64, len(b.sides))
	for run := range b.runs {
		for i, s := range b.sides {
			v, err := fn(s)
			if err != nil {
				log.Printf("%s on %s: %v", name, s.name, err)
				continue
			}
			if got[i] == nil {
				got[i] = map[string][]float64{}
			}
			for k, x := range v {
				got[i][k] = append(got[i][k], x)
			}
			log.Printf("%s run %d on %s: %v", name, run+1, s.name, v)
		}
	}
	for _, u := range units {
		f := figure{name: name + ", " + u.what, unit: u.unit, less: u.less}
		for i := range b.sides {
			f.by = append(f.by, median(got[i][u.key]))
			f.spread = append(f.spread, spread(got[i][u.key]))
		}
		b.table.rows = append(b.table.rows, f)
	}
}

type unit struct {
	key, what, unit string
	less            bool
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

// spread is the least and the most of the runs.
func spread(v []float64) [2]float64 {
	if len(v) == 0 {
		return [2]float64{}
	}
	return [2]float64{slices.Min(v), slices.Max(v)}
}

func (t *table) markdown(sides []*side) string {
	var b strings.Builder
	b.WriteString("| what |")
	for _, s := range sides {
		b.WriteString(" " + s.name + " |")
	}
	last := len(sides) - 1
	for _, s := range sides[:last] {
		fmt.Fprintf(&b, " %s: times %s |", s.name, sides[last].name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(sides)+last) + "\n")
	for _, f := range t.rows {
		fmt.Fprintf(&b, "| %s (%s) |", f.name, f.unit)
		for i, v := range f.by {
			b.WriteString(" " + number(v))
			if lo, hi := f.spread[i][0], f.spread[i][1]; lo != hi {
				b.WriteString(" (" + number(lo) + " to " + number(hi) + ")")
			}
			b.WriteString(" |")
		}
		for _, v := range f.by[:last] {
			ratio := v / f.by[last]
			if f.less {
				ratio = f.by[last] / v
			}
			if v == 0 || f.by[last] == 0 {
				b.WriteString(" - |")
				continue
			}
			fmt.Fprintf(&b, " %.2f |", ratio)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func number(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

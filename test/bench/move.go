package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"rookery/test/bench/process"
)

// mover owns the account that moves; beside shares nothing with it but the
// nodes.
const mover, beside = 1, 2

// move: a very large account moves to another group while its owner gets mail
// and reads it. Every row and body goes through the log of the other group.
func (b *bench) move() error {
	name := fmt.Sprintf("move of an account of %d messages of 2 KiB", b.moved)
	if b.copies > 0 {
		name += fmt.Sprintf(", each copied into %d more folders", b.copies)
	}
	b.each(name, func(s *side) (map[string]float64, error) {
		if s.cluster == nil || s.cluster.size < 3 {
			return nil, errors.New("it has no three nodes")
		}
		if err := s.cluster.configure(nil); err != nil {
			return nil, err
		}
		return moveOnce(s, b.moved, b.copies)
	}, []unit{{"s", "time", "s", true}, {"rate", "moved", "messages per s", false}, {"rows", "rows", "", true},
		{"frozen", "account out of service", "ms", true}, {"longbefore", "owner's longest wait for a 250, before", "ms", true},
		{"long", "owner's longest wait for a 250, meanwhile", "ms", true},
		{"readbefore", "owner's longest wait for a STATUS, before", "ms", true},
		{"read", "owner's longest wait for a STATUS, meanwhile", "ms", true},
		{"otherbefore", "another's longest wait for a 250, before", "ms", true},
		{"other", "another's longest wait for a 250, meanwhile", "ms", true},
		{"log", "through the log", "MiB", true}, {"entry", "mean entry", "KiB", true},
		{"memorybefore", "most memory of a node, before", "MiB", true},
		{"memory", "most memory of a node, meanwhile", "MiB", true}})
	return nil
}

func moveOnce(s *side, n, copies int) (map[string]float64, error) {
	begin := time.Now()
	if err := fillMoved(s, n, copies); err != nil {
		return nil, err
	}
	log.Printf("%d messages and %d copies of each came in within %v", n, copies, time.Since(begin).Round(time.Second))
	c := s.cluster
	owner, other := watchOne(s, mover), watchOne(s, beside)
	time.Sleep(20 * time.Second)
	was, wasOther := owner.stop(), other.stop()
	pids, err := c.pids()
	if err != nil {
		return nil, err
	}
	peakBefore := process.Peak(pids)
	process.ForgetPeaks(pids)
	entries, size, err := c.logged()
	if err != nil {
		return nil, err
	}
	owner, other = watchOne(s, mover), watchOne(s, beside)
	begin = time.Now()
	err = c.moveAway(s.address(mover))
	took := time.Since(begin)
	is, isOther := owner.stop(), other.stop()
	entriesNow, sizeNow, lerr := c.logged()
	if err = errors.Join(err, lerr); err != nil {
		return nil, err
	}
	rows, frozen, err := c.saidOfMove()
	return map[string]float64{"s": took.Seconds(), "rate": float64(n) / took.Seconds(), "rows": rows, "frozen": frozen,
		"longbefore": was.mail, "long": is.mail, "readbefore": was.read, "read": is.read, "otherbefore": wasOther.mail, "other": isOther.mail,
		"log": (sizeNow - size) / (1 << 20), "entry": (sizeNow - size) / (entriesNow - entries) / 1024,
		"memorybefore": float64(peakBefore) / (1 << 20), "memory": float64(process.Peak(pids)) / (1 << 20)}, err
}

// fillMoved delivers n messages to the account, through all nodes, and copies
// them into folders.
func fillMoved(s *side, n, copies int) error {
	const senders = 40
	var g errgroup.Group
	for i := range senders {
		g.Go(func() error {
			at := *s
			at.nodes = []doors{s.at(i)}
			return sendMany(&at, mover, 2<<10, n/senders)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	c, err := signIn(s, mover)
	if err != nil {
		return err
	}
	defer c.close()
	for i := range copies {
		if _, err := c.do("CREATE Copies%d", i); err != nil {
			return err
		}
		if _, err := c.quiet("SELECT INBOX"); err != nil {
			return err
		}
		for from := 1; from <= n; from += 10000 {
			if _, err := c.quiet("COPY %d:%d Copies%d", from, min(from+9999, n), i); err != nil {
				return err
			}
		}
	}
	return nil
}

// watchOne is watchers for one user: mail comes to it and it is read.
func watchOne(s *side, user int) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{cancel: cancel, begin: time.Now()}
	w.watch(ctx, s, user)
	return w
}

// moveAway moves an account into the first group that it is not in, and waits.
func (c *cluster) moveAway(address string) error {
	for to := 2; to <= 3; to++ {
		out, err := exec.Command(c.binary, "account", "move", address, "-to", fmt.Sprint(to), "-data", c.file(0, ""), "--json",
			"-timeout", "30m").CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 4 && to == 2 {
			continue // it is there
		}
		if err != nil {
			return fmt.Errorf("account move: %w: %s", err, out)
		}
		return nil
	}
	return nil
}

// logged are the entries and the bytes of all entries that the first node has
// put into its log since it started.
func (c *cluster) logged() (entries, size float64, err error) {
	r, err := http.Get("http://" + c.metrics(0) + "/metrics")
	if err != nil {
		return 0, 0, err
	}
	defer r.Body.Close()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "rookery_log_entries_total":
			entries, err = strconv.ParseFloat(value, 64)
		case "rookery_log_entry_bytes_total":
			size, err = strconv.ParseFloat(value, 64)
		}
		if err != nil {
			break
		}
	}
	if entries == 0 {
		err = errors.Join(err, errors.New("no rookery_log_entries_total"))
	}
	return entries, size, err
}

var moved = regexp.MustCompile(`msg="an account has moved".* rows=(\d+) out_of_service=(\S+)`)

// saidOfMove is what the node that led the last move says of it: the rows, and
// for how many milliseconds the account was out of service.
func (c *cluster) saidOfMove() (rows, frozen float64, err error) {
	for k := range c.size {
		text, err := os.ReadFile(c.logFile(k))
		if err != nil {
			return 0, 0, err
		}
		all := moved.FindAllStringSubmatch(string(text), -1)
		if len(all) == 0 {
			continue
		}
		last := all[len(all)-1]
		d, err := time.ParseDuration(last[2])
		if err != nil {
			return 0, 0, err
		}
		rows, err = strconv.ParseFloat(last[1], 64)
		return rows, float64(d.Microseconds()) / 1000, err
	}
	return 0, 0, errors.New("no node says that an account has moved")
}

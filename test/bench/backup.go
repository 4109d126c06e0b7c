package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os/exec"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"rookery/cmd/node/adminapi"
	"rookery/test/bench/process"
)

// backup: what the archive costs deliveries, and how far behind it is.
func (b *bench) backup() error { return b.archived(b.overhead, b.lag) }

// restored: how long it takes to have messages back.
func (b *bench) restored() error { return b.archived(b.back) }

// archived runs steps on every side that has an archive.
func (b *bench) archived(steps ...func(*side) error) error {
	for _, s := range b.sides {
		if s.cluster == nil {
			continue
		}
		for _, step := range steps {
			if err := step(s); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

// ask runs an operator's command on the first node and reads its JSON.
func (c *cluster) ask(into any, args ...string) error {
	out, err := exec.Command(c.binary, append(args, "-data", c.file(0, ""), "--json")...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("rookery %v: %w: %s%s", args, err, out, exit.Stderr)
		}
		return err
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(out, into)
}

// rounds is how often each of both is measured, in turn.
const rounds = 5

// overhead delivers with and without an archive, in turn.
func (b *bench) overhead(s *side) error {
	with, without := []float64{}, []float64{}
	for range rounds {
		for _, on := range []bool{true, false} {
			kind := `""`
			if on {
				kind = `"dir"`
			}
			if err := s.cluster.ask(nil, "config", "set", "backup.kind", kind); err != nil {
				return err
			}
			time.Sleep(15 * time.Second) // it begins, or ends
			before := process.CPU(s.roots())
			if _, err := deliverOnce(s, 4<<10, 10, 300); err != nil {
				return err
			}
			time.Sleep(15 * time.Second) // what was delivered is packed and archived
			ms := float64((process.CPU(s.roots()) - before).Milliseconds()) / 3000
			log.Printf("CPU a message, archive %v: %.3f ms", on, ms)
			if on {
				with = append(with, ms)
			} else {
				without = append(without, ms)
			}
		}
	}
	b.more += fmt.Sprintf("\n%s, %d rounds in turn, 4 KiB, 10 sessions, CPU with packing, archiving and 30 s of idling: "+
		"%.3f ms a message with the archive (%.3f to %.3f), %.3f without (%.3f to %.3f): %+.1f %%\n",
		s.name, rounds, median(with), slices.Min(with), slices.Max(with),
		median(without), slices.Min(without), slices.Max(without), 100*(median(with)/median(without)-1))
	return s.cluster.ask(nil, "config", "set", "backup.kind", `"dir"`)
}

// lag delivers 50 messages a second, and looks at how far behind the archive is.
func (b *bench) lag(s *side) error {
	time.Sleep(15 * time.Second)
	var before, after adminapi.BackupStatus
	if err := s.cluster.ask(&before, "backup", "run"); err != nil {
		return err
	}
	begin, end := time.Now(), time.Now().Add(b.span)
	var send errgroup.Group
	for i := range 5 {
		send.Go(func() error {
			for time.Now().Before(end) {
				next := time.Now().Add(100 * time.Millisecond)
				if err := sendMany(s, i+1, 4<<10, 1); err != nil {
					return err
				}
				time.Sleep(time.Until(next))
			}
			return nil
		})
	}
	var lags []float64
	time.Sleep(15 * time.Second)
	for time.Now().Before(end) {
		var st adminapi.BackupStatus
		if err := s.cluster.ask(&st, "backup", "status"); err != nil {
			return err
		}
		for _, g := range st.Groups {
			if g.Pending > 0 && g.Group > 1 {
				lags = append(lags, g.Lag)
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	took := time.Since(begin)
	if err := send.Wait(); err != nil {
		return err
	}
	if err := s.cluster.ask(&after, "backup", "status"); err != nil {
		return err
	}
	segments, bytes := uint64(0), int64(0)
	for i, g := range after.Groups {
		segments += g.Segments - before.Groups[i].Segments
		bytes += g.Bytes - before.Groups[i].Bytes
	}
	slices.Sort(lags)
	days := took.Hours() / 24
	b.more += fmt.Sprintf("\n%s, 50 messages of 4 KiB a second for %v: the oldest entry that waits is %.1f s old (p50), %.1f s (p99), "+
		"of %d looks; %.0f requests and %.2f GiB a day\n", s.name, b.span, lags[len(lags)/2], lags[len(lags)*99/100], len(lags),
		float64(segments)/days, float64(bytes)/(1<<30)/days)
	return nil
}

// back deletes a large mailbox and has it back, whole and one message of it.
func (b *bench) back(s *side) error {
	if err := fillBig(s, b.big); err != nil {
		return err
	}
	time.Sleep(10 * time.Second)
	if err := s.cluster.ask(nil, "backup", "run"); err != nil {
		return err
	}
	at := time.Now().UTC().Format(time.RFC3339Nano)
	time.Sleep(time.Second)
	c, err := signIn(s, bigUser)
	if err != nil {
		return err
	}
	defer c.close()
	for _, cmd := range []string{"SELECT INBOX", `STORE 1:* +FLAGS.SILENT (\Deleted)`, "EXPUNGE"} {
		if _, err := c.quiet("%s", cmd); err != nil {
			return err
		}
	}
	who := s.address(bigUser)
	if err := sendMany(s, bigUser-1, 2<<10, 1); err != nil { // an account to restore into
		return err
	}
	var found adminapi.FoundMessages
	if err := s.cluster.ask(&found, "backup", "find", who, "-at", at, "-limit", "1"); err != nil || len(found.Messages) == 0 {
		return fmt.Errorf("nothing is found: %w", err)
	}
	for _, x := range []struct {
		what string
		args []string
	}{
		{"one message, in place", []string{"message", who, found.Messages[0].Email}},
		{"all, in place", []string{"mailbox", who}},
		{"all, in another account", []string{"mailbox", who, "-to", s.address(bigUser - 1)}},
	} {
		begin := time.Now()
		var j adminapi.RestoreJob
		if err := s.cluster.ask(&j, append(append([]string{"restore"}, x.args...), "-at", at, "-yes")...); err != nil {
			return err
		}
		b.more += fmt.Sprintf("\n%s, of a mailbox of %d messages of 2 KiB: %s is back after %.1f s (%d messages)\n",
			s.name, b.big, x.what, time.Since(begin).Seconds(), j.Done)
	}
	return nil
}

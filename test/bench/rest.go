package main

import (
	"time"

	"golang.org/x/sync/errgroup"

	"rookery/test/bench/process"
)

// rest: the CPU that a server takes while nothing happens, and with 1,000 IMAP
// connections in IDLE, spread over its nodes.
func (b *bench) rest() error {
	const span = time.Minute
	unit := []unit{{"mean", "mean of its nodes", "% of a core", true}, {"most", "busiest node", "% of a core", true}}
	b.each("idle server", func(s *side) (map[string]float64, error) {
		time.Sleep(70 * time.Second) // leaders spread once all has been calm for a minute
		return resting(s, span)
	}, unit)
	b.each("server with 1,000 idle IMAP connections over TLS", func(s *side) (map[string]float64, error) {
		open := make([]*client, 1000)
		defer func() {
			for _, c := range open {
				if c != nil {
					c.close()
				}
			}
		}()
		var g errgroup.Group
		g.SetLimit(20)
		for i := range open {
			g.Go(func() (err error) {
				if open[i], err = signIn(s, 1+i%users); err != nil {
					return err
				}
				if _, err := open[i].quiet("SELECT INBOX"); err != nil {
					return err
				}
				if _, err := open[i].send("IDLE"); err != nil {
					return err
				}
				_, err = open[i].line()
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		time.Sleep(10 * time.Second)
		return resting(s, span)
	}, unit)
	return nil
}

// resting measures by the processes' own CPU time, which others on the machine
// hardly touch.
func resting(s *side, span time.Duration) (map[string]float64, error) {
	roots := [][]int{s.roots()}
	if s.cluster != nil {
		pids, err := s.cluster.pids()
		if err != nil {
			return nil, err
		}
		roots = nil
		for _, pid := range pids {
			roots = append(roots, []int{pid})
		}
	}
	before := make([]time.Duration, len(roots))
	for i := range roots {
		before[i] = process.CPU(roots[i])
	}
	begin := time.Now()
	time.Sleep(span)
	var sum, most float64
	for i := range roots {
		x := 100 * float64(process.CPU(roots[i])-before[i]) / float64(time.Since(begin))
		sum, most = sum+x, max(most, x)
	}
	return map[string]float64{"mean": sum / float64(len(roots)), "most": most}, nil
}

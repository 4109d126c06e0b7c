package main

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"rookery/test/bench/process"
	"rookery/test/bench/world"
)

// outbound: mail of 4 KiB comes in over 20 connections from a client that may
// relay, and goes to a thousand domains, or to one, by the same DNS and to the same
// smtp-sink; the clock stops when that has all. Rookery also signs it.
func (b *bench) outbound(sizes string) error {
	dns, err := world.StartDNS()
	if err != nil {
		return err
	}
	defer dns()
	for i, text := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		s, err := startRelay(b.binary, n, 13000+1000*i)
		if err != nil {
			return err
		}
		b.sides = append(b.sides, s)
	}
	p, err := world.StartPostfix()
	if err != nil {
		return err
	}
	b.sides = append(b.sides, &side{name: "Postfix", nodes: []doors{{smtp: world.PostfixDoor}}, stop: p.Stop,
		roots: func() []int { return []int{p.Pid()} }})
	for _, c := range []struct {
		name, from string
		domains    int
	}{
		{"to 1,000 domains", "sender@load.example", 1000}, {"to one domain", "sender@load.example", 1},
		{"to 1,000 domains, signed by Rookery", "test1@example.test", 1000},
	} {
		b.each("4 KiB "+c.name, func(s *side) (map[string]float64, error) { return sendOut(s, c.from, c.domains, 4000) },
			[]unit{{"rate", "messages", "per s", false}, {"cpu", "server CPU", "ms per message", true}})
	}
	b.more += "\n" + b.table.markdown(b.sides)
	return nil
}

// startRelay is Rookery with a listener for clients that may relay.
func startRelay(binary string, nodes, base int) (*side, error) {
	s, err := startRookery(binary, nodes, base)
	if err != nil {
		return nil, err
	}
	for _, kv := range [][2]string{
		{"outbound.private_addresses", "true"}, {"outbound.resolvers", `["` + world.DNS + `"]`}, {"relay.networks", `["127.0.0.0/8"]`},
		{"relay.senders", `["sender@load.example"]`},
	} {
		out, err := exec.Command(binary, "config", "set", kv[0], kv[1], "-socket", s.cluster.file(0, "admin.sock")).CombinedOutput()
		if err != nil {
			s.stop()
			return nil, fmt.Errorf("set %s: %w: %s", kv[0], err, out)
		}
	}
	if err := s.cluster.configure(nil); err != nil {
		s.stop()
		return nil, err
	}
	stop := s.stop
	s.stop = func() {
		for k := range nodes {
			s.cluster.order("kill", k)
		}
		stop()
	}
	s.roots = func() []int {
		pids, _ := s.cluster.pids()
		return pids
	}
	for k := range s.nodes {
		s.nodes[k].smtp = s.cluster.relay(k)
	}
	return s, nil
}

// sendOut sends n messages to as many domains, and waits until the sink has them.
func sendOut(s *side, from string, domains, n int) (map[string]float64, error) {
	sink, err := world.StartSink()
	if err != nil {
		return nil, err
	}
	defer sink.Stop()
	const sessions = 20
	before, began := process.CPU(s.roots()), time.Now()
	var send errgroup.Group
	for i := range sessions {
		send.Go(func() error {
			return sendAll(s.at(i).smtp, n/sessions, 4<<10, func(k int) (string, string) {
				return from, fmt.Sprintf("user@d%d.bench", (i*(n/sessions)+k)%domains)
			})
		})
	}
	if err := send.Wait(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(3 * time.Minute); sink.Messages() < int64(n); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%d of %d messages have arrived", sink.Messages(), n)
		}
	}
	took := time.Since(began)
	return map[string]float64{"rate": float64(n) / took.Seconds(),
		"cpu": float64((process.CPU(s.roots()) - before).Microseconds()) / 1000 / float64(n)}, nil
}

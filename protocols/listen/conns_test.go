package listen

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type fake struct {
	ln             net.Listener
	drained, broke atomic.Int32
	onDrain        func()
}

func (f *fake) Listener() net.Listener { return f.ln }
func (f *fake) Cut()                   { f.broke.Add(1) }
func (f *fake) Drain() {
	f.drained.Add(1)
	if f.onDrain != nil {
		f.onDrain()
	}
}

type door struct {
	net.Listener
	closed atomic.Bool
}

func (d *door) Close() error { d.closed.Store(true); return nil }

func add(t *testing.T, tab *Conns[*fake], c *fake, want bool) {
	t.Helper()
	if got := tab.Add(c); got != want {
		t.Fatalf("Add = %v, want %v", got, want)
	}
}

func TestCutByListener(t *testing.T) {
	tab := NewConns[*fake]()
	one, two := &door{}, &door{}
	a, b := &fake{ln: one}, &fake{ln: two}
	add(t, tab, a, true)
	add(t, tab, b, true)
	tab.cut(one)
	if a.broke.Load() != 1 || b.broke.Load() != 0 {
		t.Errorf("cut %d and %d times", a.broke.Load(), b.broke.Load())
	}
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := NewConns[*fake]()
		one, left := &door{}, &door{}
		if !tab.listen(one) || !tab.listen(left) {
			t.Fatal("no listeners taken")
		}
		tab.leave(left)
		idle, busy := &fake{ln: one}, &fake{ln: one}
		idle.onDrain = func() { go tab.Remove(idle) }
		busy.onDrain = func() { time.AfterFunc(time.Second, func() { tab.Remove(busy) }) }
		add(t, tab, idle, true)
		add(t, tab, busy, true)
		began := time.Now()
		if err := tab.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v, the busy connection ended after 1s", took)
		}
		if !one.closed.Load() || left.closed.Load() {
			t.Error("wrong listeners are closed")
		}
		late := &door{}
		if tab.listen(late) || !late.closed.Load() {
			t.Error("a listener was taken after the shutdown")
		}
		add(t, tab, &fake{}, false)
		if err := tab.Shutdown(t.Context()); err != nil {
			t.Error("the second time:", err)
		}
	})
}

func TestShutdownCutsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := NewConns[*fake]()
		stuck := &fake{}
		add(t, tab, stuck, true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := tab.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if stuck.drained.Load() != 1 || stuck.broke.Load() != 1 {
			t.Errorf("drained %d times, cut %d times", stuck.drained.Load(), stuck.broke.Load())
		}
	})
}
